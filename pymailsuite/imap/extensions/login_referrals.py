"""LOGIN-REFERRALS: users whose mail is on another host are told which, when they log in here. Source: RFC 2221."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymailsuite.imap.extension import ImapExtension, Standing


def _capabilities(standing: Standing) -> Iterable[str]:
    return ("LOGIN-REFERRALS",) if standing.settings.referrals and not standing.logged_in else ()


LOGIN_REFERRALS: Final = ImapExtension("LOGIN-REFERRALS", _capabilities, position=46)
