"""The keys of SCRAM: made from passwords, and looked up for a login name.

Whoever asks for the keys of a name that nobody has, or of an account without keys or one that is disabled, gets keys of
no password: always the same for that name, on every node, so that the salt does not tell which names there are.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from twisted.logger import Logger

from pymailsuite.auth.checkers import find_credentials, login_forms, text_of_name
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.directory.names import login_key
from pymailsuite.interfaces import Credentials, IDirectory
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.sasl import ScramKeys, saslprep
from pymailsuite.sasl.scram import SALT_OCTETS

_NOBODYS: Final = "scram.nobody"


def make_scram_keys(settings: AuthSettings, password: bytes | str) -> str:
    """The keys to store for a password, "" if it can have none. Blocks for as long as the iterations make it."""
    try:
        text = password if isinstance(password, str) else password.decode("utf-8")
        prepared = saslprep(text)
    except ValueError:
        return ""
    return str(ScramKeys.of(prepared.encode("utf-8"), settings.scram_iterations))


class ScramLookup:
    """Answers the keys of a login name. ``secrets`` None: what stands for unknown names is this process's own."""

    _log = Logger()

    def __init__(self, settings: AuthSettings, directory: IDirectory, secrets: ISecretStore | None) -> None:
        self._settings = settings
        self._directory = directory
        self._secrets = secrets
        self._secret = b"" if secrets is not None else os.urandom(32)

    async def keys_of(self, username: bytes) -> ScramKeys:
        """LoginRefused for octets that are no name; TemporaryFailure if the store is out of reach."""
        name = text_of_name(username)
        forms = login_forms(name, self._settings.default_domain)
        found = await find_credentials(self._directory, forms)
        nobodys = await self._nobodys(login_key(forms[0], ""))
        if found is None or not found.account.enabled:
            return nobodys
        return self._parsed(found) or nobodys

    def _parsed(self, found: Credentials) -> ScramKeys | None:
        try:
            return ScramKeys.parse(found.scram_keys)
        except ValueError as error:
            reason = str(error) if found.scram_keys else "none were made yet"
            self._log.info(
                "{event} of {login_name}: {reason}",
                event="auth.scram_keys_missing",
                login_name=found.account.login_name,
                reason=reason,
            )
            return None

    async def _nobodys(self, name: str) -> ScramKeys:
        if not self._secret:
            assert self._secrets is not None
            # Not the newest: one that is made later must not change the salts.
            self._secret = (await self._secrets.secrets(_NOBODYS))[-1].octets
        digest = hmac.digest(self._secret, name.encode("utf-8", "surrogatepass"), hashlib.sha512)
        stored_key = os.urandom(32)
        return ScramKeys(digest[:SALT_OCTETS], self._settings.scram_iterations, stored_key, digest[-32:])
