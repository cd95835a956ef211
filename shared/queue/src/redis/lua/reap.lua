-- Returns leases that ran out to pending; past their budget of expiries the tasks are dead.
-- ARGV[2] most leases  ARGV[3] budget of expiries  ARGV[4] reason  ARGV[5] message
-- ARGV[6] most entries of a history
-- Returns whether there are more, and for each lease: its task, generation, worker, and whether the task
-- is dead.
local limit, budget = tonumber(ARGV[2]), tonumber(ARGV[3])
local lapsed = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, limit + 1)
local answer = { #lapsed > limit and 1 or 0 }
for position = 1, math.min(#lapsed, limit) do
    local id = lapsed[position]
    local task = read_task(id)
    local size = #answer
    answer[size + 1], answer[size + 2], answer[size + 3] = id, task[GENERATION], task[WORKER]
    -- The lost attempt counts as an expiry, not as a failure.
    task[ATTEMPTS], task[EXPIRIES] = math.max(task[ATTEMPTS] - 1, 0), task[EXPIRIES] + 1
    local due = task[EXPIRIES] < budget and now or nil
    end_in_trouble(id, task, due, 'expired', ARGV[4], ARGV[5], tonumber(ARGV[6]))
    answer[size + 4] = due and 0 or 1
end
save_ready()
save_counts()
return answer
