-- Forgets tasks finished long ago, some at a time. ?1 finished at the latest  ?2 limit
DELETE FROM task
WHERE seq IN (
    SELECT seq FROM task
    WHERE finished_ms IS NOT NULL AND finished_ms <= ?1
    ORDER BY finished_ms
    LIMIT ?2
)
