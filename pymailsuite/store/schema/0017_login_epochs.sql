-- login_epoch is the value of the counter of that name when the account's password was set or it was disabled: what
-- was granted before that has ended.
ALTER TABLE accounts ADD COLUMN login_epoch BIGINT NOT NULL DEFAULT 0;
INSERT INTO counters (name, value) VALUES ('login_epoch', 0);
