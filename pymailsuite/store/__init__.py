"""The one transactional store: accounts, mailboxes, messages, octets and queue rows."""
