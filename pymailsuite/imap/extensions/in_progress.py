"""INPROGRESS: the client learns how far a long command has come. Source: RFC 9585. ``imap.progress`` says it."""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, after_login

INPROGRESS = ImapExtension("INPROGRESS", after_login("INPROGRESS"), position=31)
