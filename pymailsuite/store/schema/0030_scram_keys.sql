-- Keys by which SCRAM-SHA-256 proves the account's password (RFC 5803); '' where none were made.
ALTER TABLE accounts ADD COLUMN scram_keys {text} NOT NULL DEFAULT '';
