-- What was taken of a host, slice by slice of time, and until when it wants no request.
-- Kept as one text: the hold in ms, then each slice and what was taken in it.
local host, slice_ms, window = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local slice = math.floor(now / slice_ms)
local hold_until_ms, slices, taken = 0, {}, {}
local state = redis.call('HGET', WEIGHTS, host)
if state then
    hold_until_ms = tonumber(string.match(state, '^%d+')) or 0
    for at, weight in string.gmatch(state, '(%d+):(%d+)') do
        at = tonumber(at)
        if at > slice - window then
            slices[#slices + 1] = at
            taken[at] = tonumber(weight)
        end
    end
end

local function add(weight)
    if not taken[slice] then
        slices[#slices + 1] = slice
    end
    taken[slice] = (taken[slice] or 0) + weight
end

local function store()
    local words = { string.format('%.0f', hold_until_ms) }
    for _, at in ipairs(slices) do
        words[#words + 1] = string.format('%.0f:%.0f', at, taken[at])
    end
    redis.call('HSET', WEIGHTS, host, table.concat(words, ' '))
end
