-- COUNTS: tasks and bytes of each dataset and state, so that nobody ever counts tasks.
local changes = {}

-- Counts tasks with these bytes in, or out.
local function count(dataset, state, tasks, bytes)
    local of_dataset = changes[dataset]
    if not of_dataset then
        of_dataset = {}
        changes[dataset] = of_dataset
    end
    local change = of_dataset[state]
    if not change then
        of_dataset[state] = { tasks, tasks * bytes }
        return
    end
    change[1], change[2] = change[1] + tasks, change[2] + tasks * bytes
end

-- Counts a task out of the state it was in, and into its state now.
local function count_move(task, before)
    count(task[DATASET], before, -1, task[BYTES])
    count(task[DATASET], task[STATE], 1, task[BYTES])
end

local function save_counts()
    for dataset, states in pairs(changes) do
        for state, change in pairs(states) do
            local field = state .. ' ' .. dataset
            if change[1] ~= 0 then
                redis.call('HINCRBY', COUNTS, 't' .. field, change[1])
            end
            if change[2] ~= 0 then
                redis.call('HINCRBY', COUNTS, 'b' .. field, string.format('%.0f', change[2]))
            end
        end
    end
    changes = {}
end
