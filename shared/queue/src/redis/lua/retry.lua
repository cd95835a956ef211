-- Gives unfinished tasks fresh budgets: dead ones become pending, pending ones may be claimed at once,
-- leased ones keep their lease.
-- ARGV[2…] ids
-- Returns how many there were of these three.
local retried = 0
for position = 2, #ARGV do
    local id = ARGV[position]
    local task = read_task(id)
    local state = task and task[STATE]
    if state == DEAD then
        redis.call('ZREM', DEAD_IDS, id)
        task[STATE], task[TIME], task[ATTEMPTS], task[EXPIRIES] = PENDING, now, 0, 0
        task[REASON], task[MESSAGE] = false, false
        make_ready(id, task)
        write_task(id, task, 0)
        count_move(task, DEAD)
        retried = retried + 1
    elseif state == PENDING then
        task[ATTEMPTS], task[EXPIRIES] = 0, 0
        if task[WAITS] == 1 then
            redis.call('ZREM', WAITING, id)
            task[TIME] = math.min(task[TIME], now)
            make_ready(id, task)
        end
        write_task(id, task, 0)
        retried = retried + 1
    elseif state == LEASED then
        -- The attempt that runs is the first of the fresh budget.
        task[ATTEMPTS], task[EXPIRIES] = 1, 0
        write_task(id, task, unpack(task, REQUEST, PROGRESS_ROWS))
        retried = retried + 1
    end
end
save_ready()
save_counts()
return retried
