-- READY: tasks that may be claimed, as an ordered set of order key and id; SINCE: how long they have.
local KEY_LENGTH = 12
local HIGHEST_RANK = 4398046511104

-- Urgent tasks first, then by rank descending, then by id. Fixed length.
local function order_key(task)
    return string.format('%d%011x', 1 - task[URGENT], HIGHEST_RANK - task[RANK])
end

local function add_since(time)
    if redis.call('HINCRBY', SINCE_COUNTS, time, 1) == 1 then
        redis.call('ZADD', SINCE, time, time)
    end
end

local function drop_since(time)
    if redis.call('HINCRBY', SINCE_COUNTS, time, -1) <= 0 then
        redis.call('HDEL', SINCE_COUNTS, time)
        redis.call('ZREM', SINCE, time)
    end
end

-- Lets a pending task be claimed; `save_pages` follows.
local function make_ready(id, task)
    insert_line(READY, READY_PAGES, order_key(task) .. id)
    add_since(task[TIME])
end

-- Takes a pending task, whether it waits or not, out of what may be claimed; `save_pages` follows.
local function unready(id, task)
    if task[WAITS] == 1 then
        redis.call('ZREM', WAITING, id)
    else
        remove_line(READY, READY_PAGES, order_key(task) .. id)
        drop_since(task[TIME])
    end
end
