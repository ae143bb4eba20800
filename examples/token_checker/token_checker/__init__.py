"""A checker of ``twisted.cred`` that takes tokens in place of passwords."""

import hmac
from hashlib import sha256
from pathlib import Path

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.strcred import ICheckerFactory
from twisted.internet.threads import deferToThread
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(ICheckerFactory, IPlugin)
class _Factory:
    authType = "tokens"
    authHelp = "A file of login names and SHA-256 digests of tokens."
    argStringFormat = "FILE"
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argstring):
        return TokenChecker(Path(argstring))


@implementer(ICredentialsChecker)
class TokenChecker:
    """Answers the login name as the file has it, or fails with UnauthorizedLogin."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, file):
        self._file = file

    def requestAvatarId(self, credentials):
        return deferToThread(self._check, credentials.username.decode(), sha256(credentials.password).hexdigest())

    def _check(self, login_name, digest):
        lines = [line.split() for line in self._file.read_text().splitlines()]
        known = [hmac.compare_digest(line[1], digest) for line in lines if line[0] == login_name]
        if not any(known):
            raise UnauthorizedLogin
        return login_name


factory = _Factory()
