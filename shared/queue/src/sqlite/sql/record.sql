-- All of a task but its history. Followed by a WHERE clause.
SELECT task.seq, task.id, task.dataset, task.state, task.generation, task.attempts, task.expiries,
       task.due_ms, task.waiting, task.reason, task.message, task.spec, task.bytes, task.summary,
       lease.worker, lease.progress_bytes, lease.progress_total, lease.progress_rows
FROM task LEFT JOIN lease USING (seq)
