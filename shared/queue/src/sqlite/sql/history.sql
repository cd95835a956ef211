-- ?1 seq
SELECT generation, worker, started_ms, ended_ms, outcome, reason, message
FROM trouble WHERE seq = ?1 ORDER BY generation
