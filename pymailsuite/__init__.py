"""A modular mail platform on Twisted: SMTP, IMAP and POP3 over one transactional store."""

__version__ = "0.1.0"
