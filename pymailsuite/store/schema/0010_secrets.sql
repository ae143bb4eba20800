-- Secrets that all nodes share, by what they are for.
CREATE TABLE secrets (
    name {text} NOT NULL,
    secret {octets} NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name)
) {clustered};
