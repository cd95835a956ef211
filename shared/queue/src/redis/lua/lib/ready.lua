-- READY: tasks that may be claimed, as an ordered set of order key and id; SINCE: how long they have.
local KEY_LENGTH = 12
local HIGHEST_RANK = 4398046511104

-- Urgent tasks first, then by rank descending, then by id. Fixed length.
local function order_key(task)
    return string.format('%d%011x', 1 - task[URGENT], HIGHEST_RANK - task[RANK])
end

-- How many more or fewer tasks wait since when.
local since_changes = {}

local function change_since(time, by)
    since_changes[time] = (since_changes[time] or 0) + by
end

-- Stores what `make_ready`, `unready` and `change_since` changed.
local function save_ready()
    save_pages()
    for time, by in pairs(since_changes) do
        if by ~= 0 then
            local tasks = redis.call('HINCRBY', SINCE_COUNTS, time, by)
            if tasks <= 0 then
                redis.call('HDEL', SINCE_COUNTS, time)
                redis.call('ZREM', SINCE, time)
            elseif tasks == by then
                redis.call('ZADD', SINCE, time, time)
            end
        end
    end
    since_changes = {}
end

-- Lets a pending task be claimed; `save_ready` follows.
local function make_ready(id, task)
    insert_line(READY, READY_PAGES, order_key(task) .. id)
    change_since(task[TIME], 1)
end

-- Takes a pending task, whether it waits or not, out of what may be claimed; `save_ready` follows.
local function unready(id, task)
    if task[WAITS] == 1 then
        redis.call('ZREM', WAITING, id)
    else
        remove_line(READY, READY_PAGES, order_key(task) .. id)
        change_since(task[TIME], -1)
    end
end
