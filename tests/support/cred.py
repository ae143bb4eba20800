"""A portal without a store's passwords: what tests of the protocols log in to.

    portal = make_portal({"alice@mail.example": "wonderland"}, store)

Names and passwords are compared as they stand; no hashing, no threads. ``portal.checker.hold()`` keeps logins waiting
until ``release()``, for tests of what happens meanwhile.
"""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from pymailsuite.errors import LoginRefused
from pymailsuite.interfaces import Account, IImapAvatar, IMailStore, IPop3Avatar, ISubmissionAvatar
from pymailsuite.values import AccountId


@implementer(IImapAvatar, IPop3Avatar, ISubmissionAvatar)
@frozen
class FakeAvatar:
    """Who logged in; ``mail`` is None where no store was given, ``ends`` takes who wants to hear of its end."""

    account: Account
    mail: Any
    ends: dict[str, list[Any]] = field(factory=dict)
    asked: list[Any] = field(factory=list)

    def on_ended(self, ended: Any) -> None:
        """Remember it for :meth:`FakeRealm.end_logins`."""
        self.ends.setdefault(self.account.login_name, []).append(ended)
        self.asked.append(ended)

    def log_out(self) -> None:
        """Nobody is told of its end any more."""
        waiting = self.ends.get(self.account.login_name, [])
        for ended in self.asked:
            if ended in waiting:
                waiting.remove(ended)


@implementer(ICredentialsChecker)
class PasswordTable:
    """Login names and passwords in a dict; remembers in ``asked`` which names were tried."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self.passwords = dict(passwords)
        self.asked: list[str] = []
        self._held: list[tuple[Deferred[Any], Any]] | None = None

    def hold(self) -> None:
        """Answer no login until ``release``."""
        self._held = []

    def release(self) -> None:
        """Answer those that wait, and later ones at once again."""
        held, self._held = self._held or [], None
        for waiting, credentials in held:
            self._address_filter(credentials).chainDeferred(waiting)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """The login name as text, or LoginRefused."""
        if self._held is not None:
            waiting: Deferred[Any] = Deferred()
            self._held.append((waiting, credentials))
            return waiting
        return self._address_filter(credentials)

    def _address_filter(self, credentials: Any) -> Deferred[Any]:
        name = credentials.username.decode("utf-8", "backslashreplace")
        self.asked.append(name)
        password = self.passwords.get(name.lower())
        if password is None or not credentials.checkPassword(password.encode("utf-8")):
            return fail(LoginRefused())
        return succeed(name.lower())


@implementer(IRealm)
class FakeRealm:
    """Avatars by login name: of the store's account if a store was given, else of an account made up.

    ``logged_in`` lists the names that were given one, ``logged_out`` those whose logout was called.
    """

    def __init__(self, store: IMailStore | None) -> None:
        self._store = store
        self._ids: dict[str, int] = {}
        self.logged_in: list[str] = []
        self.logged_out: list[str] = []
        self.ends: dict[str, list[Any]] = {}

    def end_logins(self, login_name: str) -> None:
        """Take away what the logins of this name were granted."""
        for ended in self.ends.pop(login_name, []):
            ended()

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Deferred[Any]:
        """``(interface, FakeAvatar, logout)``."""

        def avatar(account: Account | None) -> Any:
            if account is None:
                raise LoginRefused(cause="unknown user")
            self.logged_in.append(avatarId)
            mail = self._store.account_mail(account.account_id) if self._store is not None else None
            given = FakeAvatar(account, mail, self.ends)

            def log_out() -> None:
                given.log_out()
                self.logged_out.append(avatarId)

            return interfaces[0], given, log_out

        if self._store is not None:
            return self._store.directory.account(avatarId).addCallback(avatar)
        account_id = AccountId(self._ids.setdefault(avatarId, len(self._ids) + 1))
        return succeed(avatar(Account(account_id, avatarId)))


class FakePortal(Portal):
    """A Portal whose checker and realm tests can reach."""

    checker: PasswordTable
    realm: FakeRealm


def make_portal(passwords: Mapping[str, str], store: IMailStore | None = None) -> FakePortal:
    """A portal for these login names (lower case) and passwords; the store's accounts must exist already."""
    checker = PasswordTable(passwords)
    portal = FakePortal(FakeRealm(store), [checker])
    portal.checker = checker
    return portal
