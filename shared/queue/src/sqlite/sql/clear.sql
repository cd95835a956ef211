DELETE FROM task;
DELETE FROM worker;
DELETE FROM rate;
DELETE FROM counter;
DELETE FROM weight;
UPDATE control SET paused = 0, brake_until_ms = 0, settings = NULL, completions = 0;
