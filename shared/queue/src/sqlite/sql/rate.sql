-- ?1 first slot that counts
SELECT coalesce(sum(rows), 0), coalesce(sum(bytes), 0), min(began_ms) FROM rate WHERE slot >= ?1
