-- Finishes tasks, then takes leases, as `complete` and `claim` do: those scripts are functions here.
-- ARGV[2] how many completions  ARGV[3], ARGV[4] as of `complete`
-- then for each completion what `complete` reads, and for each claim what `claim` reads
-- Returns what `complete` returns, and what `claim` returns.
local function arguments(first, last)
    local part = { ARGV[1] }
    for at = first, last do
        part[#part + 1] = ARGV[at]
    end
    return part
end

local last = 4 + 7 * tonumber(ARGV[2])
return { complete(arguments(3, last)), claim(arguments(last + 1, #ARGV)) }
