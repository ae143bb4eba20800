-- What is kept for a time, by whose it is and a name: octets, or a count (then value is NULL). What plugins keep, and what
-- had tables of its own before: counts within windows of time, return paths that are too long, whom our users wrote to.
CREATE TABLE state (
    namespace {text} NOT NULL,
    name {text} NOT NULL,
    value {octets},
    total BIGINT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (namespace, name)
) {clustered};
CREATE INDEX state_expire ON state (namespace, expires_at);

INSERT INTO state (namespace, name, value, total, expires_at)
    SELECT kind, name, NULL, total, ends_at FROM shared_counts;
DROP TABLE shared_counts;

INSERT INTO state (namespace, name, value, total, expires_at)
    SELECT 'return_path', token, {encode}local_part || '@' || domain{encoded}, 0, expires_at FROM kept_paths;
DROP TABLE kept_paths;

INSERT INTO state (namespace, name, value, total, expires_at)
    SELECT 'correspondents', {hex}pair{hexed}, {encode}''{encoded}, 0, expires_at FROM correspondents;
DROP TABLE correspondents;
