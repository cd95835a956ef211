-- Takes leases on pending tasks for one or more claims: urgent tasks first, then by rank descending, then
-- by id; those of a restricted claim in the order it names them.
-- From ARGV[2] on, for each claim: worker, request, most tasks, length of the leases (ms), how many ids it is
-- restricted to (-1 when it is not), and these ids
-- Returns for each claim: what to do next ("ready", "paused", "braked", "not_before", "empty"), for how many
-- ms, and for each lease: id, dataset, generation, attempt, ms until its deadline, bytes, spec.
local PROMOTED_AT_ONCE = 1000

local claims = {}
local at = 2
while at <= #ARGV do
    local ids = tonumber(ARGV[at + 4])
    local claim = {
        worker = ARGV[at], request = ARGV[at + 1], limit = tonumber(ARGV[at + 2]),
        length = tonumber(ARGV[at + 3]), chosen = {}, answer = { 'ready', 0 },
    }
    if ids >= 0 then
        claim.first, claim.last = at + 5, at + 4 + ids
    end
    claims[#claims + 1] = claim
    at = at + 5 + math.max(ids, 0)
end

local function tell(answer, id, task, deadline_in)
    local size = #answer
    answer[size + 1], answer[size + 2], answer[size + 3] = id, task[DATASET], task[GENERATION]
    answer[size + 4], answer[size + 5] = task[ATTEMPTS], deadline_in
    answer[size + 6], answer[size + 7] = task[BYTES], task[SPEC]
end

-- A claim whose answer was lost: what is still held of it, also while paused.
local function is_repeated(claim, ids)
    for id in string.gmatch(ids, '[^\n]+') do
        local task = read_task(id)
        if task and task[STATE] == LEASED and task[REQUEST] == claim.request
            and task[WORKER] == claim.worker then
            tell(claim.answer, id, task, math.max(redis.call('ZSCORE', LEASES, id) - now, 0))
        end
    end
    return #claim.answer > 2
end

-- Tasks whose waiting is over may be claimed; the next claims let in the rest.
local function promote()
    local due = redis.call('ZRANGEBYSCORE', WAITING, '-inf', now, 'LIMIT', 0, PROMOTED_AT_ONCE)
    for _, id in ipairs(due) do
        local task = read_task(id)
        write_task(id, task, 0)
        redis.call('ZREM', WAITING, id)
        make_ready(id, task)
    end
    if #due > 0 then
        save_ready()
    end
end

-- Chooses among the ids a claim names; says when the first of those that cannot be had yet is due.
local function choose_named(claim)
    local next_due
    local chosen, size = claim.chosen, 0
    for position = claim.first, claim.last do
        if size == claim.limit and size > 0 then
            break
        end
        local id = ARGV[position]
        local task = read_task(id)
        if task and task[STATE] == PENDING and not chosen[id] then
            if size < claim.limit and (task[WAITS] == 0 or task[TIME] <= now) then
                size = size + 1
                chosen[size], chosen[id] = id, task
                -- Another claim of this call must not choose it too.
                task[STATE] = LEASED
                write_task(id, task, claim.request, claim.worker, 0, 0, 0, 0)
                unready(id, task)
            elseif not next_due or task[TIME] < next_due then
                next_due = task[TIME]
            end
        end
    end
    return next_due
end

-- The pages of READY from the first on, taken off line by line. They are changed after all else: the first
-- write of a claim is one that a full server refuses, so that such a claim changes nothing.
local taken_pages = {}
local page_at_hand, page, from

local function next_ready()
    if not page or from > #page then
        if page then
            taken_pages[#taken_pages + 1] = page_at_hand
            page = nil
        end
        page_at_hand = redis.call('ZRANGE', READY, #taken_pages, #taken_pages)[1]
        if not page_at_hand then
            return nil
        end
        page, from = redis.call('HGET', READY_PAGES, page_at_hand), 1
    end
    local stop = string.find(page, '\n', from, true) or #page + 1
    local id = string.sub(page, from + KEY_LENGTH, stop - 1)
    from = stop + 1
    return id
end

local function save_taken_pages()
    if page and from > #page then
        taken_pages[#taken_pages + 1] = page_at_hand
    elseif page and from > 1 then
        redis.call('HSET', READY_PAGES, page_at_hand, string.sub(page, from))
    end
    for _, name in ipairs(taken_pages) do
        drop_page(READY, READY_PAGES, name)
    end
end

-- The ids that the claims without names get, in turn.
local function choose_next(claims)
    local ids = {}
    for _, claim in ipairs(claims) do
        for size = 1, claim.first and 0 or claim.limit do
            local id = next_ready()
            if not id then
                break
            end
            claim.chosen[size] = id
            ids[#ids + 1] = id
        end
    end
    local tasks = read_tasks(ids)
    for _, claim in ipairs(claims) do
        for _, id in ipairs(claim.first and {} or claim.chosen) do
            claim.chosen[id] = tasks[id]
            change_since(tasks[id][TIME], -1)
        end
    end
end

local control = redis.call('HMGET', META, 'paused', 'brake', 'highest')
local highest = tonumber(control[3] or 0)
local raised = false

-- What leasing writes, each kind together.
local records, deadlines, starts, requests = {}, {}, {}, {}
local started = string.format('%.0f', now)

local function lease(claim)
    local alone = #claim.chosen == 1 and 1 or 0
    local deadline = string.format('%.0f', now + claim.length)
    for _, id in ipairs(claim.chosen) do
        local task = claim.chosen[id]
        task[STATE], task[TIME] = LEASED, now
        task[GENERATION], task[ATTEMPTS] = task[GENERATION] + 1, task[ATTEMPTS] + 1
        if task[GENERATION] > highest then
            highest, raised = task[GENERATION], true
        end
        local size = #records
        records[size + 1] = id
        records[size + 2] = pack_task(id, task, claim.request, claim.worker, alone, 0, 0, 0)
        deadlines[size + 1], deadlines[size + 2] = deadline, id
        starts[size + 1], starts[size + 2] = started, id
        count_move(task, PENDING)
        tell(claim.answer, id, task, claim.length)
    end
    requests[#requests + 1] = claim.request
    requests[#requests + 1] = #claim.chosen == 1 and claim.chosen[1] or table.concat(claim.chosen, '\n')
end

local refusal
if control[1] == '1' then
    refusal = { 'paused', 0 }
elseif tonumber(control[2] or 0) > now then
    refusal = { 'braked', tonumber(control[2]) - now }
else
    promote()
end

local names = {}
for position, claim in ipairs(claims) do
    names[position] = claim.request
end
local earlier = call_together('HMGET', REQUESTS, names)
local answers, open = {}, {}
for position, claim in ipairs(claims) do
    if earlier[position] and is_repeated(claim, earlier[position]) then
        answers[position] = claim.answer
    elseif refusal then
        answers[position] = refusal
    else
        answers[position] = claim.answer
        open[#open + 1] = claim
    end
end
for _, claim in ipairs(open) do
    if claim.first then
        claim.next_due = choose_named(claim)
    end
end
save_ready()
choose_next(open)
for _, claim in ipairs(open) do
    if #claim.chosen > 0 then
        lease(claim)
    end
end
call_together('HSET', TASKS, records)
call_together('ZADD', LEASES, deadlines)
call_together('ZADD', STARTED, starts)
call_together('HSET', REQUESTS, requests)
save_taken_pages()
save_ready()
save_counts()
if raised then
    redis.call('HSET', META, 'highest', highest)
end

-- What those hear who got nothing.
for _, claim in ipairs(open) do
    if #claim.chosen == 0 then
        local next_due = claim.next_due
        if not claim.first then
            next_due = redis.call('ZCARD', READY) > 0 and now
                or tonumber(redis.call('ZRANGE', WAITING, 0, 0, 'WITHSCORES')[2])
        end
        if not next_due then
            claim.answer[1] = 'empty'
        elseif next_due > now then
            claim.answer[1], claim.answer[2] = 'not_before', next_due - now
        end
    end
end
return answers
