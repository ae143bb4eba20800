-- Local lists. scope: '' for the whole server, else the recipients' domain or address. expires_at: 0 for never.
CREATE TABLE list_entries (
    scope {text} NOT NULL,
    kind {text} NOT NULL,
    value {text} NOT NULL,
    verdict {text} NOT NULL,
    action {text} NOT NULL,
    comment {text} NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (scope, kind, value, verdict)
) {clustered};
CREATE INDEX list_entries_expire ON list_entries (expires_at) WHERE expires_at > 0;

-- Made greater by every change of the lists.
INSERT INTO counters (name, value) VALUES ('lists', 0);
