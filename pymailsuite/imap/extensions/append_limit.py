"""APPENDLIMIT: the greatest size of a message in APPEND. Source: RFC 7889."""

from __future__ import annotations

from collections.abc import Iterable

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapExtension, Standing, StatusItem
from pymailsuite.interfaces import Mailbox


def _capabilities(standing: Standing) -> Iterable[str]:
    return (f"APPENDLIMIT={standing.settings.message_size}",) if standing.logged_in else ()


def _limit(context: Context, _: Mailbox) -> int:
    # RFC 7889 §3.1: the same for all mailboxes.
    return context.settings.message_size


APPENDLIMIT = ImapExtension(
    "APPENDLIMIT", _capabilities, status_items=(StatusItem("APPENDLIMIT", _limit),), position=21
)
