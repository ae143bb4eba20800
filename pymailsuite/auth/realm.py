"""The realm: from a proved name to an account's mail; and the portal that joins realm and checkers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.auth.checkers import DISABLED, SHARED, UNKNOWN_USER, CheckerChain, log_refusal, login_forms
from pymailsuite.auth.login_queue import LoginQueue
from pymailsuite.auth.logins import OpenLogins
from pymailsuite.auth.throttle import LoginThrottle, ThrottledPortal
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.errors import LoginRefused
from pymailsuite.interfaces import (
    Account,
    IAccountMail,
    IImapAvatar,
    IMailAvatar,
    IMailStore,
    IPop3Avatar,
    ISubmissionAvatar,
)


@implementer(ISubmissionAvatar, IImapAvatar, IPop3Avatar)
class MailAvatar:
    """An account somebody has logged in to; ``logins`` is where it is noted while it is in use."""

    __slots__ = ("_logins", "_stop", "account", "mail")

    def __init__(self, account: Account, mail: IAccountMail, logins: OpenLogins) -> None:
        self.account = account
        self.mail = mail
        self._logins = logins
        self._stop: Callable[[], None] | None = None

    def on_ended(self, ended: Callable[[], object]) -> None:
        self.log_out()
        self._stop = self._logins.add(self.account.grant, ended)

    def log_out(self) -> None:
        """It is used no longer. What else a session took (a lock) the session gives back."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()


@implementer(IRealm)
class MailRealm:
    """Gives avatars for ISubmissionAvatar, IImapAvatar and IPop3Avatar.

    The avatar id is an Account (from our own checker), or a login name in text or octets, which must be that of an
    account in the store.
    """

    _log = Logger()

    def __init__(self, settings: AuthSettings, store: IMailStore, logins: OpenLogins | None = None) -> None:
        self._logins = OpenLogins() if logins is None else logins
        self._default_domain = settings.default_domain
        self._store = store

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> Deferred[Any]:
        """``(interface, avatar, logout)``. LoginRefused if there is no such account, or it is disabled."""
        asked = next((interface for interface in interfaces if interface.implementedBy(MailAvatar)), None)
        if asked is None:
            raise NotImplementedError("MailRealm gives avatars for submission, IMAP and POP3")
        if isinstance(avatarId, Account):
            return succeed(self._avatar(asked, avatarId))
        return Deferred.fromCoroutine(self._find(asked, avatarId))

    async def _find(self, interface: type[IMailAvatar], avatar_id: str | bytes) -> tuple[Any, MailAvatar, Any]:
        name = avatar_id.decode("utf-8", "backslashreplace") if isinstance(avatar_id, bytes) else avatar_id
        for form in login_forms(name, self._default_domain):
            account = await self._store.directory.account(form)
            if account is not None:
                return self._avatar(interface, account)
        log_refusal(self._log, name, UNKNOWN_USER)
        raise LoginRefused(cause=UNKNOWN_USER)

    def _avatar(self, interface: type[IMailAvatar], account: Account) -> tuple[Any, MailAvatar, Any]:
        if not account.enabled:
            log_refusal(self._log, account.login_name, DISABLED)
            raise LoginRefused(cause=DISABLED)
        if account.is_shared:
            # Whatever a checker of others says.
            log_refusal(self._log, account.login_name, SHARED)
            raise LoginRefused(cause=SHARED)
        avatar = MailAvatar(account, self._store.account_mail(account.account_id), self._logins)
        return interface, avatar, avatar.log_out


def make_portal(
    settings: AuthSettings,
    store: IMailStore,
    checkers: Sequence[ICredentialsChecker],
    throttle: tuple[LoginThrottle, LoginQueue] | None = None,
    logins: OpenLogins | None = None,
) -> Portal:
    """A portal to the accounts of ``store``, which asks ``checkers`` in order, and ``throttle`` before them.

    ``logins`` notes those that are in use.

    ``portal.login(credentials, None, IImapAvatar)`` fails with LoginRefused, or with TemporaryFailure if nothing can be
    proved just now; the text of neither depends on the reason.
    """
    realm, row = MailRealm(settings, store, logins), [CheckerChain(checkers)]
    return Portal(realm, row) if throttle is None else ThrottledPortal(realm, row, *throttle, settings.default_domain)
