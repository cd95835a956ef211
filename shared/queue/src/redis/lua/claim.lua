-- Takes leases on pending tasks: urgent ones first, then by rank descending, then by id.
-- ARGV[2] worker  ARGV[3] request  ARGV[4] most tasks  ARGV[5] length of the leases, ms
-- ARGV[6] 1 when restricted to the ids in ARGV[7…], in that order; else 0
-- Returns what to do next ("ready", "paused", "braked", "not_before", "empty"), for how many ms, and for
-- each lease: id, dataset, generation, attempt, ms until its deadline, bytes, spec.
local PROMOTED_AT_ONCE = 1000
local worker, request, limit, length = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local restricted = ARGV[6] == '1'
local answer = { 'ready', 0 }

local function tell(id, task, deadline_in)
    local size = #answer
    answer[size + 1], answer[size + 2], answer[size + 3] = id, task[DATASET], task[GENERATION]
    answer[size + 4], answer[size + 5] = task[ATTEMPTS], deadline_in
    answer[size + 6], answer[size + 7] = task[BYTES], task[SPEC]
end

-- A claim whose answer was lost: what is still held of it, also while paused.
local earlier = redis.call('HGET', REQUESTS, request)
if earlier then
    for id in string.gmatch(earlier, '[^\n]+') do
        local task = read_task(id)
        if task and task[STATE] == LEASED and task[REQUEST] == request and task[WORKER] == worker then
            tell(id, task, math.max(redis.call('ZSCORE', LEASES, id) - now, 0))
        end
    end
    if #answer > 2 then
        return answer
    end
end

local control = redis.call('HMGET', META, 'paused', 'brake', 'highest')
if control[1] == '1' then
    return { 'paused', 0 }
end
local braked = tonumber(control[2] or 0) - now
if braked > 0 then
    return { 'braked', braked }
end

-- Tasks whose waiting is over may be claimed; the next claims let in the rest.
local due = redis.call('ZRANGEBYSCORE', WAITING, '-inf', now, 'LIMIT', 0, PROMOTED_AT_ONCE)
if #due > 0 then
    for _, id in ipairs(due) do
        local task = read_task(id)
        redis.call('ZREM', WAITING, id)
        make_ready(id, task)
        write_task(id, task, 0)
    end
    save_pages()
end

-- Which tasks, and when the first of those that cannot be had yet is due.
local chosen, next_due = {}, nil
if restricted then
    for position = 7, #ARGV do
        if #chosen == limit and limit > 0 then
            break
        end
        local id = ARGV[position]
        local task = not chosen[id] and read_task(id)
        if task and task[STATE] == PENDING then
            if #chosen < limit and (task[WAITS] == 0 or task[TIME] <= now) then
                chosen[#chosen + 1], chosen[id] = id, task
                unready(id, task)
            elseif not next_due or task[TIME] < next_due then
                next_due = task[TIME]
            end
        end
    end
    save_pages()
else
    while #chosen < limit do
        local name = redis.call('ZRANGE', READY, 0, 0)[1]
        if not name then
            break
        end
        local page = redis.call('HGET', READY_PAGES, name)
        local from = 1
        while #chosen < limit and from <= #page do
            local stop = string.find(page, '\n', from, true) or #page + 1
            local id = string.sub(page, from + KEY_LENGTH, stop - 1)
            local task = read_task(id)
            chosen[#chosen + 1], chosen[id] = id, task
            drop_since(task[TIME])
            from = stop + 1
        end
        if from > #page then
            drop_page(READY, READY_PAGES, name)
        else
            redis.call('HSET', READY_PAGES, name, string.sub(page, from))
        end
    end
    if #chosen == 0 then
        if redis.call('ZCARD', READY) > 0 then
            next_due = now
        else
            next_due = tonumber(redis.call('ZRANGE', WAITING, 0, 0, 'WITHSCORES')[2])
        end
    end
end
if #chosen == 0 then
    if not next_due then
        return { 'empty', 0 }
    elseif next_due > now then
        return { 'not_before', next_due - now }
    end
    return answer
end

local highest, raised = tonumber(control[3] or 0), false
local alone = #chosen == 1 and 1 or 0
for _, id in ipairs(chosen) do
    local task = chosen[id]
    task[STATE], task[TIME] = LEASED, now
    task[GENERATION], task[ATTEMPTS] = task[GENERATION] + 1, task[ATTEMPTS] + 1
    if task[GENERATION] > highest then
        highest, raised = task[GENERATION], true
    end
    write_task(id, task, request, worker, alone, 0, 0, 0)
    redis.call('ZADD', LEASES, now + length, id)
    redis.call('ZADD', STARTED, now, id)
    count_move(task, PENDING)
    tell(id, task, length)
end
redis.call('HSET', REQUESTS, request, table.concat(chosen, '\n'))
if raised then
    redis.call('HSET', META, 'highest', highest)
end
save_counts()
return answer
