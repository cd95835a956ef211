-- Refuses claims for a while; never shortens a brake already on.
-- ARGV[2] at least so many ms
local until_ms = now + tonumber(ARGV[2])
if until_ms > tonumber(redis.call('HGET', META, 'brake') or 0) then
    redis.call('HSET', META, 'brake', until_ms)
end
return 1
