-- Removes a task in any state, with all that is known of it. A name that comes back starts above its
-- generation. `save_ready` and `save_counts` follow.
local function remove_task(id, task)
    local state = task[STATE]
    if state == PENDING then
        unready(id, task)
    elseif state == LEASED then
        end_lease(id, task)
    elseif state == DEAD then
        redis.call('ZREM', DEAD_IDS, id)
    end
    redis.call('HDEL', TASKS, id)
    redis.call('HDEL', HISTORY, id)
    remove_line(INDEX, INDEX_PAGES, id)
    count(task[DATASET], state, -1, task[BYTES])
    if task[GENERATION] > tonumber(redis.call('HGET', META, 'floor') or 0) then
        redis.call('HSET', META, 'floor', task[GENERATION])
    end
end
