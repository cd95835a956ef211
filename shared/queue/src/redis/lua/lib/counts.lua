-- COUNTS: tasks and bytes of each dataset and state, so that nobody ever counts tasks.
local changes = {}

local function change(field, by)
    changes[field] = (changes[field] or 0) + by
end

-- Counts tasks with these bytes in, or out.
local function count(dataset, state, tasks, bytes)
    local field = state .. ' ' .. dataset
    change('t' .. field, tasks)
    change('b' .. field, tasks * bytes)
end

-- Counts a task out of the state it was in, and into its state now.
local function count_move(task, before)
    count(task[DATASET], before, -1, task[BYTES])
    count(task[DATASET], task[STATE], 1, task[BYTES])
end

local function save_counts()
    for field, by in pairs(changes) do
        if by ~= 0 then
            redis.call('HINCRBY', COUNTS, field, string.format('%.0f', by))
        end
    end
end
