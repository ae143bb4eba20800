"""How often an account may log in: LOGIN-DELAY of RFC 2449 §6.6."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from pymailsuite.errors import TemporaryFailure
from pymailsuite.values import AccountId


class LoggedInTooSoon(TemporaryFailure):
    """The account has logged in a moment ago. Source: RFC 2449 §8.1.1."""

    pop3_code = "LOGIN-DELAY"
    text = "minimum time between logins has not passed"


class LoginDelay:
    """Remembers when each account last logged in, for as long as that matters."""

    def __init__(self, delay_s: float, clock: IReactorTime) -> None:
        self._delay_s = delay_s
        self._clock = clock
        self._logins: dict[AccountId, float] = {}

    def check(self, account_id: AccountId) -> None:
        """LoggedInTooSoon, or this login is remembered."""
        if not self._delay_s:
            return
        now = self._clock.seconds()
        logins = self._logins
        # In order of time: those at the front are the first to be over.
        while logins and next(iter(logins.values())) + self._delay_s <= now:
            del logins[next(iter(logins))]
        if account_id in logins:
            raise LoggedInTooSoon
        logins[account_id] = now
