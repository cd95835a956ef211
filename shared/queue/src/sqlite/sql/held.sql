-- The task a lease is on, while it is held. ?1 id  ?2 generation  ?3 request
SELECT task.seq, task.attempts, task.expiries, lease.worker, lease.started_ms, lease.request
FROM task JOIN lease USING (seq)
WHERE task.id = ?1 AND task.generation = ?2 AND task.state = 1 AND lease.request = ?3
