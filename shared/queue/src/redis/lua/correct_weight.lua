-- Counts what others must have taken of a host, and holds it.
-- ARGV[2..4] see weight.lua, [5] what the host counted ("" unknown), [6] ms to hold ("" none), [7] slices of a minute
local used, hold, minute = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local ours = 0
for _, at in ipairs(slices) do
    if at >= slice - minute then
        ours = ours + taken[at]
    end
end
local changed = false
if used and used > ours then
    add(used - ours)
    changed = true
end
if hold and now + hold > hold_until_ms then
    hold_until_ms = now + hold
    changed = true
end
if changed then
    store()
end
return 1
