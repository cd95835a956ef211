-- When the first waiting task of a selection is due. ?1 JSON list of ids
SELECT min(task.due_ms)
FROM json_each(?1) AS wanted CROSS JOIN task ON task.id = wanted.value
WHERE task.state = 0
