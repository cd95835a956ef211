-- Finishes a task. Repeating it with the same lease changes nothing and succeeds.
-- ARGV[2] id  ARGV[3] generation  ARGV[4] request  ARGV[5] state (2 done, 3 missing)  ARGV[6] summary
-- ARGV[7] rows  ARGV[8] bytes  ARGV[9] length of a slot of the rate, ms  ARGV[10] its first slot that counts
-- Returns 1, or 0 when the lease is lost.
local id, generation, request = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local task = read_task(id)
if not is_held(task, generation, request) then
    return was_finished_by(task, generation, request) and 1 or 0
end
end_lease(id, task)
local started = task[TIME]
task[STATE], task[TIME], task[REASON], task[MESSAGE] = tonumber(ARGV[5]), now, false, false
write_task(id, task, string.sub(request, 1, REQUEST_TAG), ARGV[6])
count_move(task, LEASED)
save_counts()
redis.call('HINCRBY', META, 'completions', 1)

-- Completions are summed in slots: rows, bytes, and when the earliest of them began.
local length = tonumber(ARGV[9])
local slot = math.floor(now / length)
local rows, bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
local sums = redis.call('HGET', RATE, slot)
if sums then
    local before = { cmsgpack.unpack(sums) }
    rows, bytes, started = rows + before[1], bytes + before[2], math.min(started, before[3])
else
    local first = slot - tonumber(ARGV[10])
    for _, old in ipairs(redis.call('HKEYS', RATE)) do
        if tonumber(old) < first then
            redis.call('HDEL', RATE, old)
        end
    end
end
redis.call('HSET', RATE, slot, cmsgpack.pack(rows, bytes, started))
return 1
