-- ?1 id  ?2 dataset  ?3 state  ?4 urgent  ?5 rank  ?6 bytes  ?7 spec  ?8 now
-- ?9 finished, absent when pending  ?10 summary
INSERT INTO task (id, dataset, state, urgent, rank, bytes, spec, generation, due_ms,
                  finished_ms, summary)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, generation_floor, ?8, ?9, ?10 FROM control
