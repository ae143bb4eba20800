"""How often an account may log in: LOGIN-DELAY of RFC 2449 §6.6."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.interfaces import IStateStore, StateKey
from pymailsuite.values import AccountId

_KIND: Final = "pop3.login"


class LoggedInTooSoon(TemporaryFailure):
    """The account has logged in a moment ago. Source: RFC 2449 §8.1.1."""

    pop3_code = "LOGIN-DELAY"
    text = "minimum time between logins has not passed"


class LoginDelay:
    """Counts the logins of each account, whichever process it logs in to, in windows of ``delay_s`` seconds."""

    _log = Logger()

    def __init__(self, delay_s: float, counts: IStateStore | None) -> None:
        self._delay_s = delay_s
        self._counts = counts

    async def check(self, account_id: AccountId) -> None:
        """Count this login: the account may not log in again within the window that begins now. LoggedInTooSoon."""
        if not self._delay_s or self._counts is None:
            return
        key = StateKey(_KIND, str(account_id))
        try:
            counted = await self._counts.add([key], self._delay_s)
        except MailError as error:
            # The delay only saves load: it must not make a maildrop unreadable when the disk is full.
            self._log.warn("{event}: {reason}", event="pop3.login_not_counted", reason=str(error))
            return
        if counted[key].total > 1:
            raise LoggedInTooSoon
