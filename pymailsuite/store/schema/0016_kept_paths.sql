-- Senders' addresses that are too long for a return path of ours to hold them: it names their token instead.
CREATE TABLE kept_paths (
    token {text} NOT NULL,
    local_part {text} NOT NULL,
    domain {text} NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (token)
) {clustered};
CREATE INDEX kept_paths_by_expiry ON kept_paths (expires_at);
