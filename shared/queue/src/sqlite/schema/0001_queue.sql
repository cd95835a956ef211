-- Schema 1. Times are milliseconds since 1970-01-01 UTC.
-- States: 0 pending, 1 leased, 2 done, 3 missing, 4 dead.

CREATE TABLE task (
    seq                 INTEGER PRIMARY KEY,
    id                  TEXT    NOT NULL UNIQUE,
    dataset             TEXT    NOT NULL,
    state               INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    urgent              INTEGER NOT NULL,
    rank                INTEGER NOT NULL,
    bytes               INTEGER NOT NULL,
    spec                TEXT    NOT NULL,
    generation          INTEGER NOT NULL,
    attempts            INTEGER NOT NULL DEFAULT 0,
    expiries            INTEGER NOT NULL DEFAULT 0,
    -- Pending: since when it may be claimed, or, while waiting = 1, from when on.
    due_ms              INTEGER NOT NULL,
    waiting             INTEGER NOT NULL DEFAULT 0,
    -- Done or missing: when, and by which lease (absent when adopted).
    finished_ms         INTEGER,
    finished_generation INTEGER,
    summary             TEXT,
    reason              TEXT,
    message             TEXT
) STRICT;

-- Partial indexes: a finished task weighs on no claim.
CREATE INDEX task_ready ON task (urgent DESC, rank DESC, id) WHERE state = 0 AND waiting = 0;
CREATE INDEX task_due ON task (waiting, due_ms) WHERE state = 0;
CREATE INDEX task_dead ON task (id) WHERE state = 4;
CREATE INDEX task_finished ON task (finished_ms) WHERE finished_ms IS NOT NULL;

-- One row per leased task. Apart from `task`, so that a heartbeat rewrites a short row.
CREATE TABLE lease (
    seq            INTEGER PRIMARY KEY,
    worker         TEXT    NOT NULL,
    request        BLOB    NOT NULL,
    -- The open queue that holds it; its lock file tells whether the process lives.
    holder         TEXT    NOT NULL,
    started_ms     INTEGER NOT NULL,
    deadline_ms    INTEGER NOT NULL,
    progress_bytes INTEGER NOT NULL DEFAULT 0,
    progress_total INTEGER NOT NULL DEFAULT 0,
    progress_rows  INTEGER NOT NULL DEFAULT 0
) STRICT;
-- No index on times: there are as many leases as workers hold, and each claim would pay for it.
CREATE INDEX lease_request ON lease (request);

-- Attempts that had trouble, the last few of each task.
CREATE TABLE trouble (
    seq        INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    worker     TEXT    NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER NOT NULL,
    outcome    TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    PRIMARY KEY (seq, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
    id         TEXT    PRIMARY KEY,
    state      TEXT    NOT NULL,
    seen_ms    INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX worker_expires ON worker (expires_ms);

-- Tasks per dataset and state, kept by the triggers below.
CREATE TABLE counter (
    dataset TEXT    NOT NULL,
    state   INTEGER NOT NULL,
    tasks   INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (dataset, state)
) STRICT, WITHOUT ROWID;

-- Completions summed in slots of ten seconds; `began_ms` is the earliest start among them.
CREATE TABLE rate (
    slot     INTEGER PRIMARY KEY,
    rows     INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    began_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE control (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    paused         INTEGER NOT NULL DEFAULT 0,
    brake_until_ms INTEGER NOT NULL DEFAULT 0,
    -- A task starts at the highest generation of any removed one: a name that comes back never
    -- repeats a generation, so a holder from before stays refused.
    generation_floor INTEGER NOT NULL DEFAULT 0,
    settings       TEXT
) STRICT;
INSERT INTO control (one) VALUES (1);

CREATE TRIGGER task_inserted AFTER INSERT ON task BEGIN
    INSERT INTO counter (dataset, state, tasks, bytes) VALUES (NEW.dataset, NEW.state, 1, NEW.bytes)
    ON CONFLICT DO UPDATE SET tasks = tasks + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER task_updated AFTER UPDATE OF dataset, state, bytes ON task
WHEN OLD.state <> NEW.state OR OLD.bytes <> NEW.bytes OR OLD.dataset <> NEW.dataset BEGIN
    UPDATE counter SET tasks = tasks - 1, bytes = bytes - OLD.bytes
    WHERE dataset = OLD.dataset AND state = OLD.state;
    INSERT INTO counter (dataset, state, tasks, bytes) VALUES (NEW.dataset, NEW.state, 1, NEW.bytes)
    ON CONFLICT DO UPDATE SET tasks = tasks + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER task_deleted AFTER DELETE ON task BEGIN
    UPDATE counter SET tasks = tasks - 1, bytes = bytes - OLD.bytes
    WHERE dataset = OLD.dataset AND state = OLD.state;
    DELETE FROM lease WHERE seq = OLD.seq;
    DELETE FROM trouble WHERE seq = OLD.seq;
    UPDATE control SET generation_floor = OLD.generation WHERE generation_floor < OLD.generation;
END;
