-- Private keys that sign mail of domains, PEM. A key signs from active_from (null: not yet) until active_until.
CREATE TABLE signing_keys (
    domain {text} NOT NULL,
    selector {text} NOT NULL,
    private_key {octets} NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    active_from DOUBLE PRECISION,
    active_until DOUBLE PRECISION,
    PRIMARY KEY (domain, selector)
) {clustered};
