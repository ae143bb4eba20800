-- Mailboxes that users share.

-- Nobody logs in to a shared account: its mailboxes are there for others.
ALTER TABLE accounts ADD COLUMN shared SMALLINT NOT NULL DEFAULT 0;

-- Named lists of accounts, to which rights are given at once.
CREATE TABLE account_groups (
    group_id {key},
    name {text} NOT NULL
);
CREATE UNIQUE INDEX account_groups_name ON account_groups (name);
CREATE TABLE group_members (
    group_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    PRIMARY KEY (group_id, member_id)
) {clustered};
CREATE INDEX group_members_member ON group_members (member_id);
INSERT INTO counters (name, value) VALUES ('group', 0);

-- What others may do with a mailbox, letters of RFC 4314. grantee: an account, 0 for all accounts, or below 0 a group,
-- with the other sign. negative: what is taken from them instead.
CREATE TABLE mailbox_rights (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    grantee BIGINT NOT NULL,
    negative SMALLINT NOT NULL,
    rights {text} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, grantee, negative)
) {clustered};
CREATE INDEX mailbox_rights_grantee ON mailbox_rights (grantee);

-- \Seen of those who read mailboxes of others. seen: how many messages each has seen; those that were expunged after
-- settled_modseq still count.
CREATE TABLE mailbox_readers (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    reader_id BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    settled_modseq BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, reader_id)
) {clustered};
CREATE INDEX mailbox_readers_reader ON mailbox_readers (reader_id);

-- Which these are, for each 64 UIDs (block: the UID divided by 64) of which a reader has changed any. states: for each of
-- them a number of 8 octets, little-endian, which is 0 where nothing was changed: twice the modseq of the last change, and
-- 1 more if the message is seen. modseq: that of the last change of them all.
CREATE TABLE reader_seen (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    reader_id BIGINT NOT NULL,
    block BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    states {octets} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, reader_id, block)
) {clustered};
CREATE INDEX reader_seen_modseq ON reader_seen (account_id, mailbox_id, reader_id, modseq);
