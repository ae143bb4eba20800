-- How mail of a verified domain, a verified address or a network has fared. The numbers are what its events weighed at
-- noted_at; they halve with time.
CREATE TABLE reputations (
    kind {text} NOT NULL,
    name {text} NOT NULL,
    accepted DOUBLE PRECISION NOT NULL,
    refused DOUBLE PRECISION NOT NULL,
    junk DOUBLE PRECISION NOT NULL,
    not_junk DOUBLE PRECISION NOT NULL,
    first_seen DOUBLE PRECISION NOT NULL,
    noted_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (kind, name)
) {clustered};
CREATE INDEX reputations_noted ON reputations (noted_at);
