-- Extends a lease that is held, and moves it to the open queue that beats.
-- ?1 id  ?2 generation  ?3 deadline  ?4 holder  ?5 bytes  ?6 total  ?7 rows  ?8 request
UPDATE lease
SET deadline_ms = ?3, holder = ?4, progress_bytes = ?5, progress_total = ?6, progress_rows = ?7
WHERE seq = (SELECT seq FROM task WHERE id = ?1 AND generation = ?2 AND state = 1) AND request = ?8
