"""RFC 5322 and MIME: the parts of a message, their offsets, and the structures that IMAP sends."""
