-- The queue in numbers.
-- Returns now; paused; ms left of a brake; accepted completions; since when the oldest claimable task waits
-- and the oldest attempt runs (ms, or nil); the counts: field and value in turn; the rates: slot, rows,
-- bytes, began in turn; the workers heard of lately: state and how many in turn.
local control = redis.call('HMGET', META, 'paused', 'brake', 'completions')
local since = tonumber(redis.call('ZRANGE', SINCE, 0, 0)[1])
local due = tonumber(redis.call('ZRANGE', WAITING, 0, 0, 'WITHSCORES')[2])
if due and due <= now and (not since or due < since) then
    since = due
end
local started = tonumber(redis.call('ZRANGE', STARTED, 0, 0, 'WITHSCORES')[2])
local rates = {}
local slots = redis.call('HGETALL', RATE)
for at = 1, #slots, 2 do
    local rows, bytes, began = cmsgpack.unpack(slots[at + 1])
    local size = #rates
    rates[size + 1], rates[size + 2] = tonumber(slots[at]), rows
    rates[size + 3], rates[size + 4] = bytes, began
end
local working, workers = {}, {}
for _, record in ipairs(redis.call('HVALS', WORKERS)) do
    local state, _, expires = cmsgpack.unpack(record)
    if expires > now then
        working[state] = (working[state] or 0) + 1
    end
end
for state, count in pairs(working) do
    local size = #workers
    workers[size + 1], workers[size + 2] = state, count
end
return {
    now, control[1] == '1' and 1 or 0, math.max(tonumber(control[2] or 0) - now, 0),
    tonumber(control[3] or 0), since or false, started or false,
    redis.call('HGETALL', COUNTS), rates, workers,
}
