-- ?1 seq  ?2 dataset  ?3 urgent  ?4 rank  ?5 bytes  ?6 spec
UPDATE task SET dataset = ?2, urgent = ?3, rank = ?4, bytes = ?5, spec = ?6
WHERE seq = ?1
  AND (dataset <> ?2 OR urgent <> ?3 OR rank <> ?4 OR bytes <> ?5 OR spec <> ?6)
