-- Takes a lease off its task. Its first write frees memory, which a full server still accepts.
local function end_lease(id, task)
    redis.call('ZREM', LEASES, id)
    redis.call('ZREM', STARTED, id)
    local request = task[REQUEST]
    if task[ALONE] == 1 then
        redis.call('HDEL', REQUESTS, request)
        return
    end
    local rest = {}
    for other in string.gmatch(redis.call('HGET', REQUESTS, request) or '', '[^\n]+') do
        if other ~= id then
            rest[#rest + 1] = other
        end
    end
    if #rest == 0 then
        redis.call('HDEL', REQUESTS, request)
    else
        redis.call('HSET', REQUESTS, request, table.concat(rest, '\n'))
    end
end
