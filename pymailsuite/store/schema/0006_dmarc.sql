-- Results of DMARC that wait to be reported to the domains that ask for it.

-- A domain and day; policy is the record as it was seen last, in JSON. Whoever makes the report holds the row until
-- claimed_until.
CREATE TABLE dmarc_days (
    day BIGINT NOT NULL,
    domain {text} NOT NULL,
    policy {text} NOT NULL,
    claimed_until DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (day, domain)
) {clustered};

-- How many messages of that day had the same results; results in JSON, and their digest to find them by.
CREATE TABLE dmarc_rows (
    day BIGINT NOT NULL,
    domain {text} NOT NULL,
    digest {octets} NOT NULL,
    results {text} NOT NULL,
    messages BIGINT NOT NULL,
    PRIMARY KEY (day, domain, digest)
) {clustered};
