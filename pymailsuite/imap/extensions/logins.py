"""Capabilities for logging in: STARTTLS, LOGINDISABLED, AUTH=, SASL-IR. Source: RFC 3501 §6.2, §7.2.1; RFC 4959."""

from __future__ import annotations

from collections.abc import Iterable

from pymailsuite.imap.commands import connection
from pymailsuite.imap.extension import ImapExtension, Standing


def _capabilities(standing: Standing) -> Iterable[str]:
    if standing.logged_in:
        return
    yield "SASL-IR"
    if standing.offers_tls and not standing.secure and not standing.compressed:
        yield "STARTTLS"
    if not standing.plaintext:
        yield "LOGINDISABLED"
    for mechanism in standing.mechanisms:
        yield f"AUTH={mechanism}"


LOGINS = ImapExtension("logins", _capabilities, commands=connection.LOGIN_COMMANDS, position=5)
