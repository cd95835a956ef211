-- A task for readers: id, state, generation, attempts, expiries, not before (ms, or nil), dataset, spec,
-- bytes, reason, message, summary, worker, progress (bytes, total, rows), and its history: of each
-- troubled attempt generation, worker, started, ended, outcome, reason, message. What is absent is nil.
local function view(id, task)
    local state = task[STATE]
    local fields = {
        id, state, task[GENERATION], task[ATTEMPTS], task[EXPIRIES],
        state == PENDING and task[WAITS] == 1 and task[TIME] or false,
        task[DATASET], task[SPEC], task[BYTES], task[REASON], task[MESSAGE],
        (state == DONE or state == MISSING) and task[SUMMARY] or false,
        false, false, false, false, {},
    }
    if state == LEASED then
        fields[13], fields[14] = task[WORKER], task[PROGRESS_BYTES]
        fields[15], fields[16] = task[PROGRESS_TOTAL], task[PROGRESS_ROWS]
    end
    local history = redis.call('HGET', HISTORY, id)
    if history then
        fields[17] = cmsgpack.unpack(history)
    end
    return fields
end
