-- The states of tasks.
-- ARGV[2…] ids
-- Returns for each its state, or -1.
local answer = {}
for position = 2, #ARGV do
    local packed = redis.call('HGET', TASKS, ARGV[position])
    answer[position - 1] = packed and (cmsgpack.unpack(packed)) or -1
end
return answer
