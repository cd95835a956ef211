-- ?1 seq  ?2 generation  ?3 attempts
UPDATE task SET state = 1, generation = ?2, attempts = ?3, waiting = 0 WHERE seq = ?1
