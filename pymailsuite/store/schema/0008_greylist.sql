-- Who has tried to send what to whom, and whether it came back. client is a network, or a provider that stands for its
-- networks (spf:example.com, rdns:example.com). passed_at: 0 until it has come back in time.
CREATE TABLE greylist (
    client {text} NOT NULL,
    sender {text} NOT NULL,
    recipient {text} NOT NULL,
    first_seen DOUBLE PRECISION NOT NULL,
    passed_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (client, sender, recipient)
) {clustered};
CREATE INDEX greylist_expire ON greylist (expires_at);
CREATE INDEX greylist_waiting ON greylist (client) WHERE passed_at = 0;

-- How often a client has come back with mail for somebody new. expires_at: 0 for never.
CREATE TABLE greylist_clients (
    client {text} NOT NULL PRIMARY KEY,
    passes BIGINT NOT NULL,
    allowed SMALLINT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
) {clustered};
CREATE INDEX greylist_clients_expire ON greylist_clients (expires_at) WHERE expires_at > 0;

-- Whom our users have written to: a digest of both addresses, which says nothing to who does not know them already.
CREATE TABLE correspondents (
    pair {octets} NOT NULL PRIMARY KEY,
    expires_at DOUBLE PRECISION NOT NULL
) {clustered};
CREATE INDEX correspondents_expire ON correspondents (expires_at);
