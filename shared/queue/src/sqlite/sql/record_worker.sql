-- ?1 id  ?2 state  ?3 now  ?4 expires
INSERT INTO worker (id, state, seen_ms, expires_ms) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE
SET state = excluded.state, seen_ms = excluded.seen_ms, expires_ms = excluded.expires_ms
