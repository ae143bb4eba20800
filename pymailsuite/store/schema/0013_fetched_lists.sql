-- Lists that were fetched from elsewhere, by one node for all. content: compressed; version: its digest, '' for none yet.
CREATE TABLE fetched_lists (
    url {text} NOT NULL,
    version {text} NOT NULL,
    content {octets} NOT NULL,
    etag {text} NOT NULL,
    last_modified {text} NOT NULL,
    checked_at DOUBLE PRECISION NOT NULL,
    claimed_until DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (url)
) {clustered};
