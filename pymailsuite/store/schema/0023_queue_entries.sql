-- Entries of the queue have ids of their own, and several may share one content. The rows move in code
-- (store/queue_moving.py): other ways were JSON.
ALTER TABLE queue_entries RENAME TO old_queue_entries;
ALTER TABLE queue_recipients RENAME TO old_queue_recipients;
DROP INDEX queue_entries_due;

-- due_at is the least next_attempt of the recipients that wait. prefix: header lines in front of what is sent on, NULL for
-- none. envid, ret: of RFC 3461, '' if not given.
CREATE TABLE queue_entries (
    entry_id {key},
    content_id BIGINT NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    held SMALLINT NOT NULL,
    claimed_by {text} NOT NULL,
    claimed_until DOUBLE PRECISION NOT NULL,
    reverse_local {text},
    reverse_domain {text},
    reverse_unquoted SMALLINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    smtputf8 SMALLINT NOT NULL,
    body {text} NOT NULL,
    origin {text} NOT NULL,
    prefix {octets},
    envid {text} NOT NULL,
    ret {text} NOT NULL,
    priority SMALLINT NOT NULL
);
CREATE INDEX queue_entries_due ON queue_entries (due_at);
CREATE INDEX queue_entries_content ON queue_entries (content_id);
-- Few entries have a priority: they are claimed before or after those that are due.
CREATE INDEX queue_entries_first ON queue_entries (priority DESC, due_at) WHERE priority > 0;
CREATE INDEX queue_entries_last ON queue_entries (priority DESC, due_at) WHERE priority < 0;

-- notify: the sum of the values of interfaces.queue.Notify; orcpt: decoded, '' if not given.
CREATE TABLE queue_recipients (
    entry_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    local_part {text} NOT NULL,
    domain {text} NOT NULL,
    unquoted SMALLINT NOT NULL,
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
    notify SMALLINT NOT NULL,
    orcpt {text} NOT NULL,
    PRIMARY KEY (entry_id, position)
) {clustered};
