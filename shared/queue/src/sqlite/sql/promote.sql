-- Lets tasks whose waiting is over be claimed, some at a time. ?1 now  ?2 limit
UPDATE task SET waiting = 0
WHERE seq IN (
    SELECT seq FROM task
    WHERE state = 0 AND waiting = 1 AND due_ms <= ?1
    ORDER BY due_ms
    LIMIT ?2
)
