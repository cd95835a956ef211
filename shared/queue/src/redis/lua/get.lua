-- All that is known of tasks.
-- ARGV[2…] ids
-- Returns for each: nil, or its fields (see lib/view.lua).
local answer = {}
for position = 2, #ARGV do
    local task = read_task(ARGV[position])
    answer[position - 1] = task and view(ARGV[position], task) or false
end
return answer
