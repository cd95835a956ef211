-- Many members of one key in one command: most of a short command's cost is its being called.
local MOST_TOGETHER = 500

-- The answers of a command that takes any number of members.
local function call_together(command, key, members)
    local size = #members
    if size <= MOST_TOGETHER then
        return size > 0 and redis.call(command, key, unpack(members)) or {}
    end
    local answers = {}
    for first = 1, size, MOST_TOGETHER do
        local last = math.min(first + MOST_TOGETHER - 1, size)
        local part = redis.call(command, key, unpack(members, first, last))
        for position = 1, type(part) == 'table' and last - first + 1 or 0 do
            answers[#answers + 1] = part[position]
        end
    end
    return answers
end

-- Tasks read together, by id; those that are not there are absent.
local function read_tasks(ids)
    local tasks = {}
    local packed = call_together('HMGET', TASKS, ids)
    for position, id in ipairs(ids) do
        tasks[id] = tasks[id] or unpack_task(id, packed[position])
    end
    return tasks
end
