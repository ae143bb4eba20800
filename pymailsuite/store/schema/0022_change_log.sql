-- What happened to an account's mailboxes and subscriptions, a row for each of them that a change touched. kind: created,
-- renamed, deleted, subscribed or unsubscribed. name: the mailbox's, before a renaming; or the subscription's, which has
-- the mailbox_id 0.
CREATE TABLE change_log (
    account_id BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    name {text} NOT NULL,
    kind {text} NOT NULL,
    logged_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account_id, modseq, mailbox_id, name)
) {clustered};
CREATE INDEX change_log_age ON change_log (logged_at);

-- When the flags of messages last changed, for each 64 UIDs of a mailbox (block: the UID divided by 64) that such a
-- change has touched.
CREATE TABLE changed_flags (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    block BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, block)
) {clustered};
CREATE INDEX changed_flags_modseq ON changed_flags (account_id, mailbox_id, modseq, block);

-- The modseq that a message arrived with, once its own is another. NULL: it is its own, or nobody noted it.
ALTER TABLE messages ADD COLUMN arrival_modseq BIGINT;

-- change_floor is the last modseq of which a row of change_log may be missing, flags_floor the same of changed_flags.
ALTER TABLE account_state ADD COLUMN change_floor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account_state ADD COLUMN flags_floor BIGINT NOT NULL DEFAULT 0;
UPDATE account_state SET change_floor = modseq, flags_floor = modseq;
