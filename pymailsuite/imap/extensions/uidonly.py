"""UIDONLY: a client that uses UIDs alone, and is told UIDs alone. Source: RFC 9586.

``selected.View.uid_only`` says so to what makes responses: UIDFETCH in place of FETCH, VANISHED in place of EXPUNGE.
The grammar refuses sequence numbers (``GrammarLimits.sequence_numbers``).
"""

from __future__ import annotations

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapExtension, after_login


def _enable(context: Context) -> None:
    context.uid_only = True
    if context.view is not None:
        context.view.uid_only = True


UIDONLY = ImapExtension("UIDONLY", after_login("UIDONLY"), enables={"UIDONLY": _enable}, position=28)
