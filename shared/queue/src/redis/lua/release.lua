-- Hands a task back unharmed, to its place in the order.
-- ARGV[2] id  ARGV[3] generation  ARGV[4] request
-- Returns 1, or 0 when the lease is lost.
local id = ARGV[2]
local task = read_task(id)
if not is_held(task, tonumber(ARGV[3]), ARGV[4]) then
    return 0
end
end_lease(id, task)
task[STATE], task[TIME], task[ATTEMPTS] = PENDING, now, math.max(task[ATTEMPTS] - 1, 0)
make_ready(id, task)
write_task(id, task, 0)
count_move(task, LEASED)
save_ready()
save_counts()
return 1
