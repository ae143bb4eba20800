-- Several processes on one store, on one machine or on many.

-- The numbers from which processes make content ids (see store/ids.py). Whoever holds one makes ids of times before
-- held_until only, and whoever takes it next makes ids of times after that, so no clock can make an id come twice.
CREATE TABLE nodes (
    number INTEGER NOT NULL PRIMARY KEY,
    held_by {text} NOT NULL,
    held_until DOUBLE PRECISION NOT NULL
) {clustered};
-- From here on the counter says how many numbers there are.
UPDATE counters SET value = 0 WHERE name = 'node';

-- What all nodes count together (failed logins, ...): how often a key was seen in a window that ends at ends_at.
CREATE TABLE shared_counts (
    kind {text} NOT NULL,
    name {text} NOT NULL,
    total BIGINT NOT NULL,
    ends_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (kind, name)
) {clustered};
CREATE INDEX shared_counts_ends_at ON shared_counts (ends_at);
