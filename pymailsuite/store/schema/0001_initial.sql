-- Words in braces are given by the engine: {key} a 64-bit primary key, {text} characters that are compared and ordered by
-- code point, {octets} bytes, {clustered} rows kept in key order.
-- Times are POSIX seconds. Every key of a per-account table begins with account_id, and nothing refers across accounts.

-- Small numbers handed out once; never on a hot path.
CREATE TABLE counters (
    name {text} NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) {clustered};
INSERT INTO counters (name, value) VALUES ('account', 0), ('node', 0);

-- Directory: read by every node, written by operators.

CREATE TABLE domains (
    name {text} NOT NULL PRIMARY KEY,
    catch_all_local {text},
    catch_all_domain {text}
) {clustered};

CREATE TABLE accounts (
    account_id {key},
    login_name {text} NOT NULL,
    domain {text} NOT NULL,
    full_name {text} NOT NULL,
    enabled SMALLINT NOT NULL,
    password_hash {text} NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
CREATE UNIQUE INDEX accounts_login_name ON accounts (login_name);
CREATE INDEX accounts_domain ON accounts (domain);

CREATE TABLE aliases (
    domain {text} NOT NULL,
    local_part {text} NOT NULL,
    position INTEGER NOT NULL,
    target_local {text} NOT NULL,
    target_domain {text} NOT NULL,
    PRIMARY KEY (domain, local_part, position)
) {clustered};

-- Mail: one account's rows lie together.

-- The account's clock. Whoever writes an account's mail takes its next modseq first, and so waits for others who do.
CREATE TABLE account_state (
    account_id {key},
    modseq BIGINT NOT NULL,
    next_mailbox_id BIGINT NOT NULL,
    last_uid_validity BIGINT NOT NULL,
    login_name {text} NOT NULL,
    removed_at DOUBLE PRECISION
);

-- altered_modseq is the last change that was not an arrival: since then modseqs rise with UIDs.
-- expunge_floor is the last modseq of which the record of an expunge has been dropped.
CREATE TABLE mailboxes (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid_next BIGINT NOT NULL,
    highest_modseq BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    unseen BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    size BIGINT NOT NULL,
    altered_modseq BIGINT NOT NULL,
    expunge_floor BIGINT NOT NULL,
    first_recent BIGINT NOT NULL,
    uid_validity BIGINT NOT NULL,
    selectable SMALLINT NOT NULL,
    special_use {text},
    name {text} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id)
) {clustered};
CREATE UNIQUE INDEX mailboxes_name ON mailboxes (account_id, name);

-- Where the expunged messages of mailboxes that are gone once were.
CREATE TABLE deleted_mailboxes (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    name {text} NOT NULL,
    uid_validity BIGINT NOT NULL,
    deleted_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account_id, mailbox_id)
) {clustered};

CREATE TABLE messages (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    system_flags INTEGER NOT NULL,
    keywords {text} NOT NULL,
    modseq BIGINT NOT NULL,
    content_id BIGINT NOT NULL,
    size BIGINT NOT NULL,
    internal_date DOUBLE PRECISION NOT NULL,
    save_date DOUBLE PRECISION NOT NULL,
    prefix {octets} NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid)
) {clustered};

-- A message that is gone. While content_id is there it can be brought back; the row without it says that the UID went.
CREATE TABLE expunged (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    system_flags INTEGER NOT NULL,
    keywords {text} NOT NULL,
    modseq BIGINT NOT NULL,
    content_id BIGINT,
    size BIGINT NOT NULL,
    internal_date DOUBLE PRECISION NOT NULL,
    save_date DOUBLE PRECISION NOT NULL,
    prefix {octets} NOT NULL,
    expunged_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid)
) {clustered};
CREATE INDEX expunged_modseq ON expunged (account_id, mailbox_id, modseq);
CREATE INDEX expunged_at ON expunged (expunged_at);

CREATE TABLE subscriptions (
    account_id BIGINT NOT NULL,
    name {text} NOT NULL,
    PRIMARY KEY (account_id, name)
) {clustered};

CREATE TABLE maildrop_locks (
    account_id BIGINT NOT NULL,
    owner {text} NOT NULL,
    until DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account_id)
) {clustered};

-- Content: octets once, whoever many copies; what metadata needs apart from the octets.

-- refs counts rows of messages, expunged and queue_entries that name the content.
CREATE TABLE contents (
    content_id {key},
    refs BIGINT NOT NULL,
    size BIGINT NOT NULL,
    header_size BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    digest {octets} NOT NULL,
    envelope {octets} NOT NULL,
    body {octets} NOT NULL,
    bodystructure {octets} NOT NULL,
    parts {octets} NOT NULL
);
CREATE INDEX contents_unreferred ON contents (content_id) WHERE refs = 0;

-- position: how many octets come before this chunk. The rows are not kept in key order: where SQLite does that it compares
-- keys by reading whole rows, and to find a chunk among others would mean to read the octets of several.
CREATE TABLE content_chunks (
    content_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    octets {octets} NOT NULL,
    PRIMARY KEY (content_id, position)
);

-- Contents of which chunks are written but which nothing refers to yet.
CREATE TABLE staged_contents (
    content_id {key},
    created_at DOUBLE PRECISION NOT NULL
);

-- Queue.

-- due_at is the least next_attempt of the recipients that wait.
CREATE TABLE queue_entries (
    content_id {key},
    due_at DOUBLE PRECISION NOT NULL,
    held SMALLINT NOT NULL,
    claimed_by {text} NOT NULL,
    claimed_until DOUBLE PRECISION NOT NULL,
    reverse_local {text},
    reverse_domain {text},
    created_at DOUBLE PRECISION NOT NULL,
    smtputf8 SMALLINT NOT NULL,
    body {text} NOT NULL,
    origin {text} NOT NULL
);
CREATE INDEX queue_entries_due ON queue_entries (due_at);

CREATE TABLE queue_recipients (
    content_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    local_part {text} NOT NULL,
    domain {text} NOT NULL,
    route {text} NOT NULL,
    original_local {text},
    original_domain {text},
    state {text} NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt DOUBLE PRECISION NOT NULL,
    delay_reported SMALLINT NOT NULL,
    last_status {text} NOT NULL,
    last_reply {text} NOT NULL,
    last_host {text} NOT NULL,
    PRIMARY KEY (content_id, position)
) {clustered};
