-- Refuses claims, or allows them again.
-- ARGV[2] 1 to pause, 0 to resume
redis.call('HSET', META, 'paused', ARGV[2])
return 1
