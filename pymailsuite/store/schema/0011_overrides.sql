-- What a domain or an account wants otherwise of the checks, as JSON; '' for nothing. In the rows that are read for every
-- recipient anyway.
ALTER TABLE domains ADD COLUMN overrides {text} NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN overrides {text} NOT NULL DEFAULT '';
