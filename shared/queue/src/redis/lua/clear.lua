-- Deletes everything but what keeps generations from coming again.
local floor = tonumber(redis.call('HGET', META, 'floor') or 0)
local highest = tonumber(redis.call('HGET', META, 'highest') or 0)
for _, key in ipairs(KEYS) do
    redis.call('UNLINK', key)
end
if math.max(floor, highest) > 0 then
    redis.call('HSET', META, 'floor', math.max(floor, highest), 'highest', math.max(floor, highest))
end
return 1
