-- Extends the leases that are held, and records the worker.
-- ARGV[2] worker  ARGV[3] its state  ARGV[4] length of the leases, ms
-- ARGV[5] how long the worker is remembered, ms; 0 when it leaves
-- then for each lease: id, generation, request, progress: bytes, total, rows
-- Returns whether the queue is paused, ms left of a brake, and for each lease that is lost: its id and why
-- ("reclaimed", "cancelled", "finished").
local worker, state, deadline = ARGV[2], ARGV[3], now + tonumber(ARGV[4])
local remembered = tonumber(ARGV[5])

local function why_lost(task, generation)
    if not task then
        return 'cancelled'
    elseif task[STATE] == DONE or task[STATE] == MISSING then
        return 'finished'
    elseif task[STATE] == DEAD and task[GENERATION] == generation and task[REASON] == 'cancelled' then
        return 'cancelled'
    end
    return 'reclaimed'
end

-- The first write frees memory: a server that is full accepts the rest then, and costs nobody a lease.
redis.call('HDEL', WORKERS, worker)
if remembered > 0 then
    redis.call('HSET', WORKERS, worker, cmsgpack.pack(state, now, now + remembered))
end
-- One of the others, so that those that died silently do not gather.
local other = redis.call('HRANDFIELD', WORKERS)
local record = other and redis.call('HGET', WORKERS, other)
if record and select(3, cmsgpack.unpack(record)) <= now then
    redis.call('HDEL', WORKERS, other)
end
local control = redis.call('HMGET', META, 'paused', 'brake')
local answer = { control[1] == '1' and 1 or 0, math.max(tonumber(control[2] or 0) - now, 0) }
for at = 6, #ARGV, 6 do
    local id, generation, request = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
    local task = read_task(id)
    if is_held(task, generation, request) then
        redis.call('ZADD', LEASES, 'XX', deadline, id)
        write_task(id, task, request, task[WORKER], task[ALONE], tonumber(ARGV[at + 3]),
            tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]))
    else
        answer[#answer + 1] = id
        answer[#answer + 1] = why_lost(task, generation)
    end
end
return answer
