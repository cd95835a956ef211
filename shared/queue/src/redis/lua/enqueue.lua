-- Plans tasks; those already there stay as they are, but for what NewTask says.
-- ARGV[2] schema of this release
-- then for each task: id, dataset, urgent (0, 1), rank, bytes, spec, reopen (0, 1),
--   done ("" or "=" and the summary), and the tasks it replaces: what their ids begin with, and the
--   rests, one a line
-- Returns how many were created, reopened, adopted, unchanged, replaced.
local created, reopened, adopted, unchanged, replaced = 0, 0, 0, 0, 0
local floor = tonumber(redis.call('HGET', META, 'floor') or 0)

local function finish(id, task, summary, before)
    task[STATE], task[TIME], task[REASON], task[MESSAGE] = DONE, now, false, false
    write_task(id, task, false, summary)
    if before then
        count_move(task, before)
    else
        count(task[DATASET], DONE, 1, task[BYTES])
    end
end

local function replan(id, task, plan)
    for field, value in pairs(plan) do
        task[field] = value
    end
    task.is_short = task[DATASET] == second_part(id)
end

local function plan_new(id, plan, summary)
    local task = { PENDING, floor, 0, 0, 0, 0, 0, now, '', '', false, false }
    replan(id, task, plan)
    insert_line(INDEX, INDEX_PAGES, id)
    if summary then
        finish(id, task, summary, nil)
        adopted = adopted + 1
        return
    end
    make_ready(id, task)
    write_task(id, task, 0)
    count(task[DATASET], PENDING, 1, task[BYTES])
    created = created + 1
end

-- A pending task takes new bytes, spec and order.
local function plan_pending(id, task, plan)
    unchanged = unchanged + 1
    local same = true
    for field, value in pairs(plan) do
        same = same and task[field] == value
    end
    if same then
        return
    end
    local waits = task[WAITS]
    if waits == 0 then
        unready(id, task)
    end
    count(task[DATASET], PENDING, -1, task[BYTES])
    replan(id, task, plan)
    count(task[DATASET], PENDING, 1, task[BYTES])
    if waits == 0 then
        make_ready(id, task)
    end
    write_task(id, task, waits)
end

local function plan_again(id, task, plan, summary, reopen)
    local state = task[STATE]
    if summary and (state == PENDING or state == MISSING) then
        if state == PENDING then
            unready(id, task)
        end
        count(task[DATASET], state, -1, task[BYTES])
        replan(id, task, plan)
        finish(id, task, summary, nil)
        adopted = adopted + 1
    elseif reopen and not summary and (state == DONE or state == MISSING) then
        count(task[DATASET], state, -1, task[BYTES])
        replan(id, task, plan)
        task[STATE], task[TIME], task[ATTEMPTS], task[EXPIRIES] = PENDING, now, 0, 0
        task[REASON], task[MESSAGE] = false, false
        make_ready(id, task)
        write_task(id, task, 0)
        count(task[DATASET], PENDING, 1, task[BYTES])
        reopened = reopened + 1
    elseif state == PENDING and not summary then
        plan_pending(id, task, plan)
    else
        unchanged = unchanged + 1
    end
end

local function remove_replaced(id, beginning, rests)
    -- Mostly none of them is there, and that is seen by one look.
    if beginning ~= '' and not may_begin_with(INDEX, INDEX_PAGES, beginning) then
        return
    end
    local others = {}
    for rest in string.gmatch(rests, '[^\n]+') do
        others[#others + 1] = beginning .. rest
    end
    local found = redis.call('HMGET', TASKS, unpack(others))
    for position, other in ipairs(others) do
        -- Again, as it may be named twice.
        local task = found[position] and other ~= id and read_task(other)
        if task then
            remove_task(other, task)
            floor = math.max(floor, task[GENERATION])
            replaced = replaced + 1
        end
    end
end

redis.call('HSETNX', META, 'schema', ARGV[2])
local at = 3
while at <= #ARGV do
    local id = ARGV[at]
    local plan = {
        [DATASET] = ARGV[at + 1], [URGENT] = tonumber(ARGV[at + 2]), [RANK] = tonumber(ARGV[at + 3]),
        [BYTES] = tonumber(ARGV[at + 4]), [SPEC] = ARGV[at + 5],
    }
    local reopen = ARGV[at + 6] == '1'
    local summary = ARGV[at + 7] ~= '' and string.sub(ARGV[at + 7], 2)
    if ARGV[at + 9] ~= '' then
        remove_replaced(id, ARGV[at + 8], ARGV[at + 9])
    end
    at = at + 10
    local task = read_task(id)
    if task then
        plan_again(id, task, plan, summary, reopen)
    else
        plan_new(id, plan, summary)
    end
end
save_ready()
save_counts()
return { created, reopened, adopted, unchanged, replaced }
