-- Annotations of mailboxes, and of the account as a whole where mailbox_id is 0 (RFC 5464). user_id: whose a private one
-- is, 0 for those that are shared. entry: its name in lower case, without /private or /shared.
CREATE TABLE annotations (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    entry {text} NOT NULL,
    value {octets} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, user_id, entry)
) {clustered};
CREATE INDEX annotations_user ON annotations (user_id);
