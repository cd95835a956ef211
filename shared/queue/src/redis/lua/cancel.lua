-- Gives up pending and leased tasks: they are dead.
-- ARGV[2] reason  ARGV[3] message  ARGV[4] most entries of a history  ARGV[5…] ids
-- Returns how many there were.
local cancelled = 0
for position = 5, #ARGV do
    local id = ARGV[position]
    local task = read_task(id)
    local state = task and task[STATE]
    if state == PENDING then
        unready(id, task)
        task[STATE], task[REASON], task[MESSAGE] = DEAD, ARGV[2], ARGV[3]
        redis.call('ZADD', DEAD_IDS, 0, id)
        write_task(id, task)
        count_move(task, PENDING)
        cancelled = cancelled + 1
    elseif state == LEASED then
        end_in_trouble(id, task, nil, 'cancelled', ARGV[2], ARGV[3], tonumber(ARGV[4]))
        cancelled = cancelled + 1
    end
end
save_ready()
save_counts()
return cancelled
