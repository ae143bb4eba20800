-- Quotas of an account, of the accounts of a domain and of all of them together, as JSON; '' for none.
ALTER TABLE accounts ADD COLUMN quota {text} NOT NULL DEFAULT '';
ALTER TABLE domains ADD COLUMN quota {text} NOT NULL DEFAULT '';

-- What an account holds is the sum of its mailboxes. Only where a domain has a total it is counted for all its accounts
-- together too: each delivery would have to read them all. percent, due: as of quota_warnings.
CREATE TABLE domain_usage (
    domain {text} NOT NULL PRIMARY KEY,
    storage BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    mailboxes BIGINT NOT NULL,
    percent INTEGER NOT NULL,
    due SMALLINT NOT NULL
) {clustered};
-- The domain that has such a row, of each of its accounts; NULL for all others.
ALTER TABLE account_state ADD COLUMN total_of {text};

-- Accounts that have passed a percentage of their quota: the highest, and whether (1) the user is still to be told.
CREATE TABLE quota_warnings (
    account_id BIGINT NOT NULL,
    percent INTEGER NOT NULL,
    due SMALLINT NOT NULL,
    PRIMARY KEY (account_id)
) {clustered};
CREATE INDEX quota_warnings_due ON quota_warnings (account_id) WHERE due = 1;
