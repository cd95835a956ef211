-- Records a finished task. ?1 seq  ?2 state  ?3 now  ?4 generation  ?5 request, both absent when adopted  ?6 summary
UPDATE task
SET state = ?2, waiting = 0, finished_ms = ?3, finished_generation = ?4, finished_request = ?5, summary = ?6,
    reason = NULL, message = NULL
WHERE seq = ?1
