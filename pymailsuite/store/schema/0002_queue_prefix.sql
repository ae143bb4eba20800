-- Header lines of ours in front of what is sent on: signatures and what our checks found. NULL: none.
ALTER TABLE queue_entries ADD COLUMN prefix {octets};
