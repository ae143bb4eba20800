-- Secrets that were replaced by others, for as long as something made with them may come back.
CREATE TABLE retired_secrets (
    name {text} NOT NULL,
    retired_at DOUBLE PRECISION NOT NULL,
    secret {octets} NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, retired_at)
) {clustered};
