-- Leases the first claimable tasks of a selection, in its order.
-- ?1 JSON list of ids  ?2 now  ?3 limit
UPDATE task
SET state = 1, generation = generation + 1, attempts = attempts + 1, waiting = 0
WHERE seq IN (
    SELECT task.seq
    FROM json_each(?1) AS wanted CROSS JOIN task ON task.id = wanted.value
    WHERE task.state = 0 AND (task.waiting = 0 OR task.due_ms <= ?2)
    ORDER BY wanted.key
    LIMIT ?3
)
RETURNING seq, id, dataset, generation, attempts, bytes, spec, urgent, rank
