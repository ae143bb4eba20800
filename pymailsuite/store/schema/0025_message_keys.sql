-- By what messages are found, sorted, listed and put into threads (message.structure.MessageKeys). NULL: the message came
-- before anybody noted it; it is filled in while the server runs. sent_day -1000000: it has no Date that can be read.
ALTER TABLE contents ADD COLUMN own_link BIGINT;
ALTER TABLE contents ADD COLUMN links {octets};
ALTER TABLE contents ADD COLUMN sent_at DOUBLE PRECISION;
ALTER TABLE contents ADD COLUMN sent_day INTEGER;
ALTER TABLE contents ADD COLUMN subject {text};
ALTER TABLE contents ADD COLUMN base_subject {text};
ALTER TABLE contents ADD COLUMN from_mailbox {text};
ALTER TABLE contents ADD COLUMN to_mailbox {text};
ALTER TABLE contents ADD COLUMN cc_mailbox {text};
ALTER TABLE contents ADD COLUMN from_display {text};
ALTER TABLE contents ADD COLUMN to_display {text};
ALTER TABLE contents ADD COLUMN has_attachment SMALLINT;
ALTER TABLE contents ADD COLUMN preview {text};
-- Up to which content id they have been filled in.
INSERT INTO counters (name, value) VALUES ('keys_filled', 0);

-- Threads of accounts that somebody has asked for them: messages below uid_next have been put into them.
CREATE TABLE threaded_mailboxes (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid_next BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id)
) {clustered};
-- told_id is what clients have been told of the message that a link stands for: it stays, whatever joins thread_id later.
CREATE TABLE thread_links (
    account_id BIGINT NOT NULL,
    link BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    told_id BIGINT,
    PRIMARY KEY (account_id, link)
) {clustered};
-- Threads that have gone on in another one, into_id, and those that clients have been told of: into_id is thread_id.
CREATE TABLE threads (
    account_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    into_id BIGINT NOT NULL,
    PRIMARY KEY (account_id, thread_id)
) {clustered};
CREATE INDEX threads_into ON threads (account_id, into_id);
