-- Finishes tasks and takes leases, as `complete` and `claim` do: those scripts are functions here.
-- ARGV[2] how many of both  ARGV[3], ARGV[4] as of `complete`
-- then for each what `complete` reads, and for each what `claim` reads
-- Returns what `complete` returns, and what `claim` returns. A server that is full completes and leases nothing:
-- the next claim, which comes alone, is told so.
local function arguments(first, last)
    local part = { ARGV[1] }
    for at = first, last do
        part[#part + 1] = ARGV[at]
    end
    return part
end

local last = 4 + 7 * tonumber(ARGV[2])

-- Before the completions: once anything was written, a full server would take the writes of a claim as well.
local claimed, leases = pcall(claim, arguments(last + 1, #ARGV))
if not claimed then
    local message = type(leases) == 'table' and leases.err or leases
    if not string.find(message, 'OOM', 1, true) then
        error(leases)
    end
    -- Refused at its first write; what it was about to write is forgotten.
    changes, since_changes, opened = {}, {}, {}
    leases = {}
    for position = 1, tonumber(ARGV[2]) do
        leases[position] = { 'ready', 0 }
    end
end
return { complete(arguments(3, last)), leases }
