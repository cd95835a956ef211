-- Makes a finished or dead task pending, with fresh budgets. ?1 seq  ?2 now
UPDATE task
SET state = 0, attempts = 0, expiries = 0, due_ms = ?2, waiting = 0,
    finished_ms = NULL, finished_generation = NULL, finished_request = NULL, summary = NULL,
    reason = NULL, message = NULL
WHERE seq = ?1
