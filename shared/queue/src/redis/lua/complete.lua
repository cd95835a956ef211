-- Finishes tasks. Repeating it with the same lease changes nothing and succeeds.
-- ARGV[2] length of a slot of the rate, ms  ARGV[3] how many slots count
-- then for each task: id, generation, request, state (2 done, 3 missing), summary, rows, bytes
-- Returns for each 1, or 0 when the lease is lost.
local answers = {}
local completions, rows, bytes, began = 0, 0, 0, now
for at = 4, #ARGV, 7 do
    local id, generation, request = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
    local task = read_task(id)
    local accepted = is_held(task, generation, request)
    if accepted then
        end_lease(id, task)
        began = math.min(began, task[TIME])
        task[STATE], task[TIME], task[REASON], task[MESSAGE] = tonumber(ARGV[at + 3]), now, false, false
        write_task(id, task, string.sub(request, 1, REQUEST_TAG), ARGV[at + 4])
        count_move(task, LEASED)
        completions = completions + 1
        rows, bytes = rows + tonumber(ARGV[at + 5]), bytes + tonumber(ARGV[at + 6])
    else
        accepted = was_finished_by(task, generation, request)
    end
    answers[#answers + 1] = accepted and 1 or 0
end
if completions == 0 then
    return answers
end
save_counts()
redis.call('HINCRBY', META, 'completions', completions)

-- Completions are summed in slots: rows, bytes, and when the earliest of them began.
local slot = math.floor(now / tonumber(ARGV[2]))
local sums = redis.call('HGET', RATE, slot)
if sums then
    local before = { cmsgpack.unpack(sums) }
    rows, bytes, began = rows + before[1], bytes + before[2], math.min(began, before[3])
else
    for _, old in ipairs(redis.call('HKEYS', RATE)) do
        if tonumber(old) < slot - tonumber(ARGV[3]) then
            redis.call('HDEL', RATE, old)
        end
    end
end
redis.call('HSET', RATE, slot, cmsgpack.pack(rows, bytes, began))
return answers
