-- Adds a completion to the rate. ?1 slot  ?2 rows  ?3 bytes  ?4 when it was claimed
INSERT INTO rate (slot, rows, bytes, began_ms) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE
SET rows = rows + excluded.rows, bytes = bytes + excluded.bytes,
    began_ms = min(began_ms, excluded.began_ms)
