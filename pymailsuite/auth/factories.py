"""Checkers by description: ``mailstore``, ``mailfile:PATH``, and all strcred plugins that are installed.

The two factories are what a plugin file declares, so that ``twistd pymailsuite --auth mailstore`` and ``--help-auth``
know them. When options are parsed there is no store yet; so they make a declaration, which :func:`make_checkers` turns
into the checker.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed
from twisted.cred.strcred import ICheckerFactory, InvalidAuthArgumentString, InvalidAuthType, makeChecker
from twisted.internet.defer import Deferred, fail
from twisted.plugin import IPlugin
from zope.interface import Interface, implementer

from pymailsuite.auth.checkers import ForeignChecker, StoreChecker
from pymailsuite.auth.password_file import PasswordFileChecker
from pymailsuite.auth.password_verifier import PasswordVerifier
from pymailsuite.auth.scram import make_scram_keys
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.errors import ConfigError, TemporaryFailure
from pymailsuite.interfaces import IDirectory


@frozen
class CheckerSurroundings:
    """What a checker of ours needs besides its argument string."""

    settings: AuthSettings
    directory: IDirectory
    password_verifier: PasswordVerifier


class IDeclaredChecker(Interface):
    """A checker that was asked for before there was anything it could ask."""

    def bind(surroundings: CheckerSurroundings) -> ICredentialsChecker:
        """The checker itself."""


class _Declaration:
    """Looks like a checker to strcred's option parsing."""

    credentialInterfaces = (IUsernamePassword,)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """A declaration refuses all logins."""
        return fail(TemporaryFailure(cause="checker used before it was bound"))


@implementer(IDeclaredChecker, ICredentialsChecker)
class DeclaredStore(_Declaration):
    """``mailstore``."""

    def bind(self, surroundings: CheckerSurroundings) -> ICredentialsChecker:
        """A StoreChecker."""
        settings = surroundings.settings
        return StoreChecker(
            settings,
            surroundings.directory,
            surroundings.password_verifier,
            partial(make_scram_keys, settings) if settings.scram else None,
        )


@implementer(IDeclaredChecker, ICredentialsChecker)
@frozen
class DeclaredFile(_Declaration):
    """``mailfile:PATH``."""

    path: Path

    def bind(self, surroundings: CheckerSurroundings) -> ICredentialsChecker:
        """A PasswordFileChecker."""
        return PasswordFileChecker(self.path, surroundings.settings.default_domain, surroundings.password_verifier)


@implementer(ICheckerFactory, IPlugin)
class StoreCheckerFactory:
    """``mailstore``: the accounts of the mail store."""

    authType = "mailstore"
    authHelp = "Proves passwords of the accounts in pymailsuite's own store. Of use to pymailsuite alone."
    argStringFormat = "No argstring required."
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argstring: str) -> DeclaredStore:
        """InvalidAuthArgumentString if there is an argument."""
        if argstring:
            raise InvalidAuthArgumentString("mailstore takes no argument")
        return DeclaredStore()


@implementer(ICheckerFactory, IPlugin)
class FileCheckerFactory:
    """``mailfile:PATH``: a file of argon2 hashes."""

    authType = "mailfile"
    authHelp = """
Proves passwords against a file with a line name:hash for each login name, the
hash an argon2 string ($argon2id$...). The file is read again when it changes.
Of use to pymailsuite alone; each name must be the login name of an account.
"""
    argStringFormat = "Location of the password file."
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argstring: str) -> DeclaredFile:
        """InvalidAuthArgumentString without a path."""
        if not argstring.strip():
            raise InvalidAuthArgumentString("mailfile needs the path of a file")
        return DeclaredFile(Path(argstring))


store_checker_factory: Final = StoreCheckerFactory()
file_checker_factory: Final = FileCheckerFactory()


def make_checkers(
    surroundings: CheckerSurroundings, further: Iterable[ICredentialsChecker] = ()
) -> list[ICredentialsChecker]:
    """The checkers that the settings name, then ``further`` ones (those of ``twistd --auth``), ready to be asked.

    ConfigError if a description names no checker, or one that does not take passwords.
    """
    named = [_from_description(description) for description in surroundings.settings.checkers]
    return [_ready(checker, surroundings) for checker in (*named, *further)]


def _from_description(description: str) -> Any:
    kind, _, argument = description.partition(":")
    try:
        # Ours by name too, so that they are found where no plugin file is installed (tests, embedding).
        for factory in (store_checker_factory, file_checker_factory):
            if factory.authType == kind:
                return factory.generateChecker(argument)
        return makeChecker(description)
    except InvalidAuthType:
        raise ConfigError(f"auth.checkers: there is no checker {kind!r}") from None
    except (InvalidAuthArgumentString, LoginFailed, ValueError, TypeError, OSError) as error:
        # The argument itself may hold a password (memory:name:password) and is not repeated.
        raise ConfigError(f"auth.checkers: the argument of {kind!r} is wrong", cause=str(error)) from None


def _ready(checker: Any, surroundings: CheckerSurroundings) -> ICredentialsChecker:
    if IDeclaredChecker.providedBy(checker):
        return checker.bind(surroundings)
    if not any(interface.isOrExtends(IUsernamePassword) for interface in checker.credentialInterfaces):
        raise ConfigError(f"auth.checkers: {type(checker).__name__} does not take passwords")
    return ForeignChecker(checker)
