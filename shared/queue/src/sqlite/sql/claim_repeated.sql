-- What is still held of an earlier claim. ?1 request  ?2 worker
SELECT task.seq, task.id, task.dataset, task.generation, task.attempts, task.bytes, task.spec,
       task.urgent, task.rank, lease.deadline_ms
FROM lease JOIN task USING (seq)
WHERE lease.request = ?1 AND lease.worker = ?2
