-- The text index (store.text_index). All of it can be made again from the octets of messages.

-- checked_modseq: up to which modseq of the account its mailboxes have been looked through for what is to be indexed.
CREATE TABLE text_accounts (
    account_id BIGINT NOT NULL,
    checked_modseq BIGINT NOT NULL,
    dropped SMALLINT NOT NULL,
    claimed_until DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account_id)
) {clustered};

-- A piece of the index is about the messages of a mailbox between two UIDs; of these it has those in uids. One whose form
-- is not the present one says nothing: words were made in another way then, or, if it is empty, a message is gone.
CREATE TABLE text_pieces (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    first_uid BIGINT NOT NULL,
    last_uid BIGINT NOT NULL,
    messages INTEGER NOT NULL,
    octets BIGINT NOT NULL,
    form {text} NOT NULL,
    uids {octets} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, first_uid)
) {clustered};

-- The words of a piece, by field of the message. The rows are long, so they are not kept in the order of their key.
CREATE TABLE text_words (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    first_uid BIGINT NOT NULL,
    field SMALLINT NOT NULL,
    words {octets} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, first_uid, field)
);
