-- Ends an attempt that had trouble. ?1 seq  ?2 state  ?3 attempts  ?4 expiries  ?5 due  ?6 waiting
-- ?7 reason  ?8 message
UPDATE task
SET state = ?2, attempts = ?3, expiries = ?4, due_ms = ?5, waiting = ?6, reason = ?7, message = ?8
WHERE seq = ?1
