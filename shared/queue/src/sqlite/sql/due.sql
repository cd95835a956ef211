-- Tasks whose waiting is over, some at a time. ?1 now  ?2 limit
SELECT seq FROM task
WHERE state = 0 AND waiting = 1 AND due_ms <= ?1
ORDER BY due_ms
LIMIT ?2
