-- How many octets more POP3 sends, which ends every line with CRLF: for bare CR and LF, and a last line without an end.
-- NULL: stored before anybody counted.
ALTER TABLE contents ADD COLUMN extra_octets BIGINT;
ALTER TABLE messages ADD COLUMN extra_octets BIGINT;
ALTER TABLE expunged ADD COLUMN extra_octets BIGINT;
