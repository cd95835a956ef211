-- Reports a failed attempt.
-- ARGV[2] id  ARGV[3] generation  ARGV[4] request  ARGV[5] reason  ARGV[6] message
-- ARGV[7] ms until another attempt, or -1 for none  ARGV[8] budget of failures
-- ARGV[9] most entries of a history
-- Returns the task's state (0 pending, 4 dead), or -1 when the lease is lost.
local id = ARGV[2]
local task = read_task(id)
if not is_held(task, tonumber(ARGV[3]), ARGV[4]) then
    return -1
end
local delay = tonumber(ARGV[7])
local again = delay >= 0 and task[ATTEMPTS] < tonumber(ARGV[8])
end_in_trouble(id, task, again and now + delay or nil, 'failed', ARGV[5], ARGV[6], tonumber(ARGV[9]))
save_ready()
save_counts()
return task[STATE]
