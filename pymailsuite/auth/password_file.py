"""Passwords from a file: a line ``name:hash`` for each login name.

The hash is an argon2 string as ``pymailsuite`` makes them; ``{ARGON2ID}`` in front of it, and further fields behind
another colon, are passed over, so that a Dovecot passwd-file of such hashes can be used as it is. Empty lines and those
that begin with ``#`` are comments. The file is read again when it has changed, in a hashing thread.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.auth.checkers import BAD_PASSWORD, UNKNOWN_USER, login_forms, login_name_of, password_of
from pymailsuite.auth.password_verifier import PasswordVerifier
from pymailsuite.auth.passwords import UnusableHash
from pymailsuite.directory.names import login_key
from pymailsuite.directory.text_file import Stamp, read_if_changed
from pymailsuite.errors import LoginRefused, TemporaryFailure

_SCHEME: Final = re.compile(r"\{ARGON2(?:ID|I|D)?\}", re.IGNORECASE)


def parse_password_file(text: str) -> tuple[dict[str, str], list[int]]:
    """Hashes by login name in lower case, and the numbers of the lines that hold neither such an entry nor a comment.

    Of two lines for one name the first counts.
    """
    hashes: dict[str, str] = {}
    wrong: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, _, rest = stripped.partition(":")
        stored = _SCHEME.sub("", rest.partition(":")[0], count=1)
        if name and stored.startswith("$argon2"):
            hashes.setdefault(name.lower(), stored)
        else:
            wrong.append(number)
    return hashes, wrong


@implementer(ICredentialsChecker)
class PasswordFileChecker:
    """Proves passwords against the file at ``path``; the avatar id is the login name as text."""

    _log = Logger()
    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, path: Path, default_domain: str, password_verifier: PasswordVerifier) -> None:
        self._path = path
        self._default_domain = default_domain
        self._password_verifier = password_verifier
        self._stamp: Stamp | None = None
        self._hashes: dict[str, str] = {}

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """A login name, or LoginRefused; TemporaryFailure if the file cannot be read."""
        return Deferred.fromCoroutine(self._prove(credentials))

    async def _prove(self, credentials: Any) -> str:
        given, password = login_name_of(credentials), password_of(credentials)
        await self._refresh()
        for name in dict.fromkeys((given.lower(), *login_forms(given, self._default_domain))):
            stored = self._hashes.get(name)
            if stored is not None:
                break
        else:
            await self._password_verifier.verify_nobody(login_key(given, self._default_domain), password)
            raise LoginRefused(cause=UNKNOWN_USER)
        try:
            proved = await self._password_verifier.verify(name, password, stored)
        except UnusableHash as error:
            self._log.error(
                "{event}: the hash of {login_name} in {file} cannot be used: {reason}",
                event="auth.hash_unusable",
                reason=str(error),
                login_name=name,
                file=str(self._path),
            )
            proved = False
        if not proved:
            raise LoginRefused(cause=BAD_PASSWORD)
        return name

    async def _refresh(self) -> None:
        try:
            read = await self._password_verifier.run(read_if_changed, self._path, self._stamp)
        except (OSError, UnicodeDecodeError) as error:
            self._log.error("{event}: {reason}", event="auth.password_file_unreadable", reason=str(error))
            raise TemporaryFailure("Temporary authentication failure", cause=str(error)) from None
        if read is None:
            return
        self._stamp, text = read
        self._hashes, wrong = parse_password_file(text)
        self._log.info(
            "{event}: {count} names in {file}",
            event="auth.password_file_read",
            file=str(self._path),
            count=len(self._hashes),
        )
        for number in wrong:
            self._log.warn(
                "{event}: {file} line {line}", event="auth.password_line_ignored", file=str(self._path), line=number
            )
