-- The first claimable tasks of a selection, in its order.
-- ?1 JSON list of ids  ?2 now  ?3 limit
SELECT task.seq, task.id, task.dataset, task.generation, task.attempts, task.bytes, task.spec,
       task.urgent, task.rank
FROM json_each(?1) AS wanted CROSS JOIN task ON task.id = wanted.value
WHERE task.state = 0 AND (task.waiting = 0 OR task.due_ms <= ?2)
ORDER BY wanted.key
LIMIT ?3
