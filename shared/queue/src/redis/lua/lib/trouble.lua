-- Ends an attempt with an entry in the task's history: pending again from `due` on, or dead when `due`
-- is nil. `save_ready` and `save_counts` follow.
local function end_in_trouble(id, task, due, outcome, reason, message, most_history)
    end_lease(id, task)
    local attempt = { task[GENERATION], task[WORKER], task[TIME], now, outcome, reason, message }
    local packed = redis.call('HGET', HISTORY, id)
    local history = packed and cmsgpack.unpack(packed) or {}
    history[#history + 1] = attempt
    while #history > most_history do
        table.remove(history, 1)
    end
    redis.call('HSET', HISTORY, id, cmsgpack.pack(history))

    task[REASON], task[MESSAGE] = reason, message
    if not due then
        task[STATE], task[TIME] = DEAD, now
        redis.call('ZADD', DEAD_IDS, 0, id)
        write_task(id, task)
    else
        task[STATE], task[TIME] = PENDING, due
        if due > now then
            redis.call('ZADD', WAITING, due, id)
            write_task(id, task, 1)
        else
            make_ready(id, task)
            write_task(id, task, 0)
        end
    end
    count_move(task, LEASED)
end
