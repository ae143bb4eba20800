"""ESORT: the result options of SORT. Source: RFC 5267 §3. ``extensions.sort`` takes them, as SEARCH does."""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, after_login

ESORT = ImapExtension("ESORT", after_login("ESORT"), position=12)
