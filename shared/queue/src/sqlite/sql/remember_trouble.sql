-- ?1 seq  ?2 generation  ?3 worker  ?4 started  ?5 ended  ?6 outcome  ?7 reason  ?8 message
INSERT INTO trouble (seq, generation, worker, started_ms, ended_ms, outcome, reason, message)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
