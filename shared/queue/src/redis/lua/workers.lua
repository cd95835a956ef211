-- The workers heard of lately, and the leases there are.
-- Returns for each worker its name, state and ms since its last heartbeat in turn; then for each lease its
-- worker, id, generation, progress (bytes, total, rows) and ms since its claim in turn.
local workers, leases = {}, {}
local records = redis.call('HGETALL', WORKERS)
for at = 1, #records, 2 do
    local state, seen, expires = cmsgpack.unpack(records[at + 1])
    if expires > now then
        local size = #workers
        workers[size + 1], workers[size + 2], workers[size + 3] = records[at], state, now - seen
    end
end
for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local task = read_task(id)
    local size = #leases
    leases[size + 1], leases[size + 2], leases[size + 3] = task[WORKER], id, task[GENERATION]
    leases[size + 4], leases[size + 5] = task[PROGRESS_BYTES], task[PROGRESS_TOTAL]
    leases[size + 6], leases[size + 7] = task[PROGRESS_ROWS], now - task[TIME]
end
return { workers, leases }
