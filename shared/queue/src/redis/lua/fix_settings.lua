-- Fixes what shapes the output: stored by the first caller.
-- ARGV[2] schema of this release  ARGV[3] settings, JSON
-- Returns the settings that hold.
redis.call('HSETNX', META, 'schema', ARGV[2])
redis.call('HSETNX', META, 'settings', ARGV[3])
return redis.call('HGET', META, 'settings')
