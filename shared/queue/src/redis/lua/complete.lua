-- Finishes tasks. Repeating it with the same lease changes nothing and succeeds.
-- ARGV[2] length of a slot of the rate, ms  ARGV[3] how many slots count
-- then for each task: id, generation, request, state (2 done, 3 missing), summary, rows, bytes
-- Returns for each 1, or 0 when the lease is lost.
local answers = {}
local completions, rows, bytes, began = 0, 0, 0, now
local ids = {}
for at = 4, #ARGV, 7 do
    ids[#ids + 1] = ARGV[at]
end
local tasks = read_tasks(ids)

-- What finishing writes, each kind together. First come those that free memory: a full server accepts the
-- rest then.
local ended, requests, records = {}, {}, {}

for at = 4, #ARGV, 7 do
    local id, generation, request = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
    local task = tasks[id]
    local accepted = is_held(task, generation, request)
    if accepted then
        if task[ALONE] == 1 then
            ended[#ended + 1], requests[#requests + 1] = id, request
        else
            end_lease(id, task)
        end
        began = math.min(began, task[TIME])
        task[STATE], task[TIME], task[REASON], task[MESSAGE] = tonumber(ARGV[at + 3]), now, false, false
        task[REQUEST] = string.sub(request, 1, REQUEST_TAG)
        records[#records + 1] = id
        records[#records + 1] = pack_task(id, task, task[REQUEST], ARGV[at + 4])
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
call_together('ZREM', LEASES, ended)
call_together('ZREM', STARTED, ended)
call_together('HDEL', REQUESTS, requests)
call_together('HSET', TASKS, records)
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
