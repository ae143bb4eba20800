-- Header lines of ours that stand in front of all copies: what our checks found. NULL: none, or all of them are in the rows
-- of messages, as they were before this column came.
ALTER TABLE contents ADD COLUMN fields {octets};
