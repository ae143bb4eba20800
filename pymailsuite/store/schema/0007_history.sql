-- What became of messages, and whom we refused: for operators. Ids are made as in store/ids.py, so they tell the time.

-- A story is a message, by the id of its content, or a refusal; its first entry has the same id. facts are JSON. Not in
-- key order, for the same reason as content_chunks.
CREATE TABLE history (
    story_id BIGINT NOT NULL,
    entry_id BIGINT NOT NULL,
    happened_at DOUBLE PRECISION NOT NULL,
    kind {text} NOT NULL,
    facts {text} NOT NULL,
    PRIMARY KEY (story_id, entry_id)
);

-- Whom stories are about: addresses and the like as hashes, by spans of time: what is written at one time lies together.
CREATE TABLE history_names (
    span BIGINT NOT NULL,
    name BIGINT NOT NULL,
    story_id BIGINT NOT NULL,
    PRIMARY KEY (span, name, story_id)
) {clustered};
