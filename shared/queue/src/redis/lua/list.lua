-- Part of the tasks that match, in the order of ids.
-- ARGV[2] state, or -1 for any  ARGV[3] dataset, "" for any  ARGV[4] prefix of the id  ARGV[5] cursor:
-- the last id seen, or ""  ARGV[6] most tasks  ARGV[7] most ids looked at
-- Returns the next cursor (nil at the end), and the tasks (see lib/view.lua).
local state, dataset, prefix, cursor = tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local limit, most_seen = tonumber(ARGV[6]), tonumber(ARGV[7])
local answer, seen, last = { false }, 0, cursor
local beyond_prefix = false

-- Whether to go on after this id.
local function take(id)
    if id <= cursor or id < prefix then
        return true
    elseif string.sub(id, 1, #prefix) ~= prefix then
        beyond_prefix = true
        return false
    end
    seen = seen + 1
    local task = read_task(id)
    if task and (state < 0 or task[STATE] == state) and (dataset == '' or task[DATASET] == dataset) then
        if #answer > limit then
            answer[1] = last
            return false
        end
        answer[#answer + 1] = view(id, task)
        last = id
    end
    if seen >= most_seen and #answer <= limit then
        answer[1] = id
        return false
    end
    return true
end

local from = cursor > prefix and cursor or prefix
if state == LEASED then
    local ids = redis.call('ZRANGE', LEASES, 0, -1)
    table.sort(ids)
    for _, id in ipairs(ids) do
        if not take(id) then
            break
        end
    end
elseif state == DEAD then
    local ids = redis.call('ZRANGEBYLEX', DEAD_IDS, '[' .. from, '+', 'LIMIT', 0, limit + 2)
    for _, id in ipairs(ids) do
        if not take(id) then
            break
        end
    end
    if not answer[1] and not beyond_prefix and #ids == limit + 2 then
        answer[1] = ids[#ids]
    end
else
    local name, going = page_name(INDEX, from) or '', true
    while going do
        local names = redis.call('ZRANGEBYLEX', INDEX, '[' .. name, '+', 'LIMIT', 0, 2)
        local page = names[1] and redis.call('HGET', INDEX_PAGES, names[1])
        for id in string.gmatch(page or '', '[^\n]+') do
            going = take(id)
            if not going then
                break
            end
        end
        going = going and names[2] ~= nil
        name = names[2]
    end
end
return answer
