"""Logins of users whose mail is on another IMAP server: their connections are passed through to it."""
