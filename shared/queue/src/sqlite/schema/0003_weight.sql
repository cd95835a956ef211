-- Schema 3: what requests to a host of the exchange weigh.

CREATE TABLE weight (
    host TEXT PRIMARY KEY,
    -- Until when the host wants no request, in ms; then for each slice of time what was taken in it.
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
