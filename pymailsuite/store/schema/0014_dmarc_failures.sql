-- Messages that failed DMARC in one way, waiting to be reported to a domain that asks for it; failure in JSON.
CREATE TABLE dmarc_failures (
    domain {text} NOT NULL,
    digest {octets} NOT NULL,
    failure {text} NOT NULL,
    incidents BIGINT NOT NULL,
    claimed_until DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (domain, digest)
) {clustered};
