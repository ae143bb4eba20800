"""RFC 5322 and MIME: what a message is made of, where each part begins and ends, and what IMAP says of it."""
