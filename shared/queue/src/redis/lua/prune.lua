-- Forgets done and missing tasks that were finished long ago, part by part.
-- ARGV[2] at least so many ms ago  ARGV[3] cursor: the last id seen, or ""  ARGV[4] most ids looked at
-- Returns how many, and the next cursor (nil at the end).
local latest, cursor, most_seen = now - tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local pruned, seen, going = 0, 0, true
local name = page_name(INDEX, cursor) or ''
local old, next_cursor = {}, false
while going do
    local names = redis.call('ZRANGEBYLEX', INDEX, '[' .. name, '+', 'LIMIT', 0, 2)
    local page = names[1] and redis.call('HGET', INDEX_PAGES, names[1])
    for id in string.gmatch(page or '', '[^\n]+') do
        if id > cursor then
            seen = seen + 1
            local task = read_task(id)
            if (task[STATE] == DONE or task[STATE] == MISSING) and task[TIME] <= latest then
                old[#old + 1] = { id, task }
            end
            next_cursor = id
        end
    end
    name = names[2]
    going = name ~= nil and seen < most_seen
end
for _, found in ipairs(old) do
    remove_task(found[1], found[2])
    pruned = pruned + 1
end
save_ready()
save_counts()
return { pruned, name and next_cursor or false }
