"""Checkers of passwords (``twisted.cred``): the store's, a password file's, and the row of all that are configured.

None tells an unknown name, a wrong password and a disabled account apart, neither by its answer nor by its work: each
verifies one hash. The reason stands in the ``cause`` of the LoginRefused and goes to the log alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen
from twisted.cred.checkers import ICredentialsChecker, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.auth.password_verifier import PasswordVerifier
from pymailsuite.auth.passwords import UnusableHash
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.directory.names import canonical_login, domain_forms, login_key
from pymailsuite.errors import LoginRefused, MailError, TemporaryFailure
from pymailsuite.interfaces import Account, Credentials, IDirectory
from pymailsuite.sasl import IScramProof

UNKNOWN_USER = "unknown user"
BAD_PASSWORD = "bad password"  # noqa: S105 - a reason, not a password
DISABLED = "disabled"
SHARED = "shared account"


def login_name_of(credentials: Any) -> str:
    """The name in credentials, as text. LoginRefused if it is no UTF-8 or has a NUL: nobody has such a name."""
    return text_of_name(credentials.username)


def text_of_name(name: bytes | str) -> str:
    """The name as text. LoginRefused as above."""
    try:
        text = name if isinstance(name, str) else name.decode("utf-8")
    except UnicodeDecodeError:
        raise LoginRefused(cause=UNKNOWN_USER) from None
    if "\0" in text:
        raise LoginRefused(cause=UNKNOWN_USER)
    return text


def password_of(credentials: Any) -> bytes:
    """The password in credentials, as octets."""
    password: bytes | str = credentials.password
    return password.encode("utf-8") if isinstance(password, str) else password


def login_forms(name: str, default_domain: str) -> tuple[str, ...]:
    """All ways the login name may stand in the directory, the likeliest first."""
    canonical = canonical_login(name, default_domain)
    local_part, at, domain = canonical.rpartition("@")
    return tuple(f"{local_part}@{form}" for form in domain_forms(domain)) if at else (canonical,)


async def find_credentials(directory: IDirectory, forms: Sequence[str]) -> Credentials | None:
    """Those of whoever has a login name of these forms."""
    # All are asked for whatever is found, so that a name that somebody has takes no less time.
    found = [await directory.credentials(form) for form in forms]
    return next((one for one in found if one is not None), None)


@implementer(ICredentialsChecker)
class StoreChecker:
    """Proves passwords of the accounts in the store.

    The avatar id is the :class:`~pymailsuite.interfaces.Account` itself, so that the realm need not read it again.
    """

    _log = Logger()
    credentialInterfaces = (IUsernamePassword, IScramProof)

    def __init__(
        self,
        settings: AuthSettings,
        directory: IDirectory,
        password_verifier: PasswordVerifier,
        make_scram_keys: Callable[[bytes], str] | None = None,
    ) -> None:
        """``make_scram_keys`` makes keys of a password that has none yet; it is called in a hashing thread."""
        self._make_scram_keys = make_scram_keys
        self._default_domain = settings.default_domain
        self._directory = directory
        self._password_verifier = password_verifier

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """An Account, or LoginRefused; TemporaryFailure if the store or the hashing threads are out of reach."""
        return Deferred.fromCoroutine(self._prove(credentials))

    async def _prove(self, credentials: Any) -> Account:
        forms = login_forms(login_name_of(credentials), self._default_domain)
        found = await find_credentials(self._directory, forms)
        if IScramProof.providedBy(credentials):
            return self._proved_by_scram(credentials, found)
        password = password_of(credentials)
        if found is None or not found.password_hash:
            await self._password_verifier.verify_nobody(login_key(forms[0], ""), password)
            raise LoginRefused(cause=UNKNOWN_USER if found is None else BAD_PASSWORD)
        account, stored = found.account, found.password_hash
        try:
            # What is remembered must not make a disabled account answer sooner than a wrong password does.
            proved = await self._password_verifier.verify(
                account.login_name, password, stored, remember=account.enabled
            )
        except UnusableHash as error:
            self._log.error(
                "{event}: the stored hash of {login_name} cannot be used: {reason}",
                event="auth.hash_unusable",
                reason=str(error),
                login_name=account.login_name,
            )
            raise LoginRefused(cause=BAD_PASSWORD) from None
        if not proved:
            raise LoginRefused(cause=BAD_PASSWORD)
        if not account.enabled:
            raise LoginRefused(cause=DISABLED)
        if self._password_verifier.hashes.is_stale(stored):
            await self._renew(found, password)
        elif self._make_scram_keys is not None and not found.scram_keys:
            await self._keep_scram_keys(found, self._make_scram_keys, password)
        return account

    def _proved_by_scram(self, proof: Any, found: Credentials | None) -> Account:
        """The keys may have become others since the exchange began, with the password."""
        if found is None or not proof.is_right or found.scram_keys != str(proof.keys):
            raise LoginRefused(cause=UNKNOWN_USER if found is None else BAD_PASSWORD)
        if not found.account.enabled:
            raise LoginRefused(cause=DISABLED)
        return found.account

    async def _keep_scram_keys(self, found: Credentials, make: Callable[[bytes], str], password: bytes) -> None:
        """Store keys of the password for logins by SCRAM. This login is good whether or not that succeeds."""
        account = found.account
        try:
            keys = await self._password_verifier.run(make, password)
            await self._directory.keep_scram_keys(account.account_id, found.password_hash, keys)
        except MailError as error:
            self._log.warn(
                "{event} for {login_name}: {reason}",
                event="auth.scram_keys_not_kept",
                login_name=account.login_name,
                reason=str(error),
            )

    async def _renew(self, found: Credentials, password: bytes) -> None:
        """Store a hash of today's parameters. The login is good whether or not that succeeds."""
        account = found.account
        try:
            renewed = await self._password_verifier.run(self._password_verifier.hashes.hash, password)
            # Hashing took a while: a password that was set meanwhile must stay.
            if not await self._directory.renew_password_hash(account.account_id, found.password_hash, renewed):
                return
        except MailError as error:
            self._log.warn(
                "{event} for {login_name}: {reason}",
                event="auth.rehash_failed",
                login_name=account.login_name,
                reason=str(error),
            )
            return
        self._log.info("{event} for {login_name}", event="auth.rehashed", login_name=account.login_name)


@implementer(IUsernamePassword)
@frozen
class _Password:
    """Credentials as a checker that is not ours wants them: ``username`` in text or octets."""

    username: str | bytes
    password: str | bytes = field(repr=False)

    def checkPassword(self, password: str | bytes) -> bool:
        given, known = (
            text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
            for text in (self.password, password)
        )
        return hmac.compare_digest(given, known)


@implementer(ICredentialsChecker)
class ForeignChecker:
    """A checker that is not ours, given credentials in the form it understands; it answers a login name.

    Twisted's protocols give octets, and its checkers take them, but for the one in memory, which strcred fills with
    text.
    """

    def __init__(self, checker: Any) -> None:
        self._checker = checker
        self.credentialInterfaces = checker.credentialInterfaces

    def __repr__(self) -> str:
        return f"ForeignChecker({self._checker!r})"

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """The answer of the checker, a name in octets or text; or its failure."""
        name, password = login_name_of(credentials), password_of(credentials)
        checker = self._checker
        if isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse) and any(
            isinstance(user, str) for user in checker.users
        ):
            given = _Password(name, password.decode("utf-8", "surrogateescape"))
        else:
            given = _Password(name.encode("utf-8"), password)
        return maybeDeferred(checker.requestAvatarId, given)


@implementer(ICredentialsChecker)
class CheckerChain:
    """Several checkers as one: the first to prove a password decides, and only after the last is a login refused.

    A checker of any origin may be in it. A refusal becomes LoginRefused; any other failure is logged, and becomes
    TemporaryFailure unless another checker proves the password.
    """

    _log = Logger()
    credentialInterfaces = (IUsernamePassword, IScramProof)

    def __init__(self, checkers: Sequence[ICredentialsChecker]) -> None:
        self.checkers = tuple(checkers)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """The answer of the first checker that proves the password; LoginRefused or TemporaryFailure."""
        return Deferred.fromCoroutine(self._ask(credentials))

    async def _ask(self, credentials: Any) -> Any:
        reasons: list[str] = []
        broken: MailError | None = None
        for checker in self.checkers:
            if not any(interface.providedBy(credentials) for interface in checker.credentialInterfaces):
                continue
            try:
                return await maybeDeferred(checker.requestAvatarId, credentials)
            except CancelledError:
                raise
            except LoginRefused as refused:
                reasons.append(refused.cause or BAD_PASSWORD)
            except LoginFailed:
                reasons.append(BAD_PASSWORD)
            except MailError as error:
                broken = error
            except Exception:
                self._log.failure("{event}: {log_failure.value}", event="auth.checker_failed", checker=repr(checker))
                broken = TemporaryFailure("Temporary authentication failure")
        if broken is not None:
            raise broken
        # A checker that knows the name says more than one that does not.
        reason = next((reason for reason in reasons if reason != UNKNOWN_USER), UNKNOWN_USER)
        log_refusal(self._log, _shown_name(credentials), reason)
        raise LoginRefused(cause=reason)


def log_refusal(log: Logger, login_name: str, reason: str) -> None:
    """One line for a refused login, never with its password."""
    log.info("{event} {login_name!r}: {reason}", event="auth.refused", login_name=login_name, reason=reason)


def _shown_name(credentials: Any) -> str:
    name = credentials.username
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
