-- Returns the ms left of a brake.
return math.max(tonumber(redis.call('HGET', META, 'brake') or 0) - now, 0)
