-- Records a finished task. ?1 seq  ?2 state  ?3 now  ?4 generation, absent when adopted  ?5 summary
UPDATE task
SET state = ?2, waiting = 0, finished_ms = ?3, finished_generation = ?4, summary = ?5,
    reason = NULL, message = NULL
WHERE seq = ?1
