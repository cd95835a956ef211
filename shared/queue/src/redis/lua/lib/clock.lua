-- The time: the server's own, so that no two processes disagree about a deadline.
-- ARGV[1] now, ms ("" outside tests)
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
