-- Leases that are over, or whose holder is gone. ?1 now  ?2 JSON list of gone holders  ?3 limit
SELECT task.seq, task.id, task.generation, task.attempts, task.expiries, lease.worker,
       lease.started_ms, lease.request, lease.deadline_ms <= ?1 AS late
FROM lease JOIN task USING (seq)
WHERE lease.deadline_ms <= ?1 OR lease.holder IN (SELECT value FROM json_each(?2))
ORDER BY lease.deadline_ms
LIMIT ?3
