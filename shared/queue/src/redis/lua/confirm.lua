-- Checks that a lease is held. Changes nothing.
-- ARGV[2] id  ARGV[3] generation  ARGV[4] request
-- Returns 1, or 0 when it is lost.
return is_held(read_task(ARGV[2]), tonumber(ARGV[3]), ARGV[4]) and 1 or 0
