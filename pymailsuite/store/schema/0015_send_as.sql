-- As whom accounts may send beside their own addresses and aliases. local_part: '' for all of the domain.
CREATE TABLE send_as_grants (
    account_id BIGINT NOT NULL,
    domain {text} NOT NULL,
    local_part {text} NOT NULL,
    PRIMARY KEY (account_id, domain, local_part)
) {clustered};
-- Whether an address whose dots are not where the standard has them was written without quotes, and is to go on so.
ALTER TABLE queue_entries ADD COLUMN reverse_unquoted SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE queue_recipients ADD COLUMN unquoted SMALLINT NOT NULL DEFAULT 0;
