-- When the first pending task is, or was, due. Asked in two parts: each is the first entry of an
-- index.
SELECT min(due) FROM (
    SELECT min(due_ms) AS due FROM task WHERE state = 0 AND waiting = 0
    UNION ALL
    SELECT min(due_ms) FROM task WHERE state = 0 AND waiting = 1)
