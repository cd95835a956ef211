-- When the oldest claimable task became so, and when the oldest attempt began. ?1 now
-- Both kinds of pending task are asked apart, so that each answer is the first entry of an index.
SELECT (SELECT min(since) FROM (
            SELECT min(due_ms) AS since FROM task WHERE state = 0 AND waiting = 0
            UNION ALL
            SELECT min(due_ms) FROM task WHERE state = 0 AND waiting = 1 AND due_ms <= ?1)),
       (SELECT min(started_ms) FROM lease)
