-- Keeps the last troubles of a task. ?1 seq  ?2 how many
DELETE FROM trouble
WHERE seq = ?1 AND generation <= (
    SELECT generation FROM trouble WHERE seq = ?1 ORDER BY generation DESC LIMIT 1 OFFSET ?2
)
