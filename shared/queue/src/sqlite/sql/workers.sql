-- Workers heard of lately, one row per lease of each. ?1 now
SELECT worker.id, worker.state, worker.seen_ms, task.id, task.generation,
       lease.progress_bytes, lease.progress_total, lease.progress_rows, lease.started_ms
FROM worker
LEFT JOIN (lease JOIN task USING (seq)) ON lease.worker = worker.id
WHERE worker.expires_ms > ?1
ORDER BY worker.id, task.id
