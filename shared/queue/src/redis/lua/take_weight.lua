-- Takes a weight of what a host serves a minute.
-- ARGV[2..4] see weight.lua, [5] the weight, [6] the most
-- Returns 0, or the ms after which to ask again.
if hold_until_ms > now then
    return hold_until_ms - now
end
local weight, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local room, left = math.max(most - weight, 0), 0
for _, at in ipairs(slices) do
    left = left + taken[at]
end
if left <= room then
    add(weight)
    store()
    return 0
end
for _, at in ipairs(slices) do
    left = left - taken[at]
    if left <= room then
        return (at + window) * slice_ms - now
    end
end
