-- The first claimable tasks of the queue. ?1 limit
-- The index is named: the planner may choose task_due, and sort all pending tasks for each claim.
SELECT seq, id, dataset, generation, attempts, bytes, spec, urgent, rank
FROM task INDEXED BY task_ready
WHERE state = 0 AND waiting = 0
ORDER BY urgent DESC, rank DESC, id
LIMIT ?1
