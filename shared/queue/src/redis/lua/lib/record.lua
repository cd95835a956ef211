-- A task as it lies in TASKS: its fields packed one after the other, at these positions.
local PENDING, LEASED, DONE, MISSING, DEAD = 0, 1, 2, 3, 4
local STATE, GENERATION, ATTEMPTS, EXPIRIES, URGENT, RANK, BYTES = 1, 2, 3, 4, 5, 6, 7
-- Pending: since when it may be claimed, or, while it waits, from when on. Leased: since when.
-- Done, missing or dead: since when.
local TIME = 8
local DATASET, SPEC = 9, 10
-- Of the last trouble; false when there was none.
local REASON, MESSAGE = 11, 12
-- What else there is depends on the state. Pending: whether it waits for its time.
local WAITS = 13
-- Leased: the request of the claim. Done, missing: the first bytes of it, which tell it from any other;
-- false when adopted.
local REQUEST, REQUEST_TAG = 13, 8
-- Done or missing.
local SUMMARY = 14
-- Leased: who holds it, whether the claim took no other task, and how far it has come.
local WORKER, ALONE, PROGRESS_BYTES, PROGRESS_TOTAL, PROGRESS_ROWS = 14, 15, 16, 17, 18

-- The part of an id that mostly is the dataset too, and then is not stored twice.
local function second_part(id)
    return string.match(id, '^[^/]*/([^/]*)/')
end

-- The fields of a packed task; nil when there is none.
local function unpack_task(id, packed)
    local task = packed and { cmsgpack.unpack(packed) }
    if task and task[DATASET] == true then
        task[DATASET], task.is_short = second_part(id), true
    end
    return task
end

-- The common fields and those of the task's state, given as the rest.
local function pack_task(id, task, ...)
    local dataset = not task.is_short and task[DATASET]
    return cmsgpack.pack(
        task[STATE], task[GENERATION], task[ATTEMPTS], task[EXPIRIES], task[URGENT], task[RANK],
        task[BYTES], task[TIME], dataset or true, task[SPEC], task[REASON], task[MESSAGE], ...)
end

-- The task's fields; nil when there is no such task.
local function read_task(id)
    return unpack_task(id, redis.call('HGET', TASKS, id))
end

local function write_task(id, task, ...)
    redis.call('HSET', TASKS, id, pack_task(id, task, ...))
end

-- Whether a lease is the one the task is under.
local function is_held(task, generation, request)
    return task and task[STATE] == LEASED
        and task[GENERATION] == generation and task[REQUEST] == request
end

-- Whether the task was finished under a lease.
local function was_finished_by(task, generation, request)
    return task and (task[STATE] == DONE or task[STATE] == MISSING)
        and task[GENERATION] == generation and task[REQUEST] == string.sub(request, 1, REQUEST_TAG)
end
