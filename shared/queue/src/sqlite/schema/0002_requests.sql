-- Schema 2: a lease is known by its claim's request too, and accepted completions are counted.

-- Done or missing: the request of the claim that finished it (absent when adopted).
ALTER TABLE task ADD COLUMN finished_request BLOB;
ALTER TABLE control ADD COLUMN completions INTEGER NOT NULL DEFAULT 0;
