"""Who may log in: cred checkers, realm and avatars, password hashes."""

from pymailsuite.auth.checkers import CheckerRow, ForeignChecker, StoreChecker
from pymailsuite.auth.factories import (
    CheckerSurroundings,
    file_checker_factory,
    make_checkers,
    store_checker_factory,
)
from pymailsuite.auth.logins import LoginWatch, OpenLogins
from pymailsuite.auth.password_file import PasswordFileChecker
from pymailsuite.auth.passwords import PasswordHashes, UnusableHash
from pymailsuite.auth.prover import PasswordProver
from pymailsuite.auth.realm import MailAvatar, MailRealm, make_portal
from pymailsuite.auth.service import AuthService
from pymailsuite.auth.threads import HashingThreads, Threads
from pymailsuite.auth.throttle import LoginThrottle, ThrottledPortal
from pymailsuite.auth.turns import LoginTurns, TooManyLogins

__all__ = [
    "AuthService",
    "CheckerRow",
    "CheckerSurroundings",
    "ForeignChecker",
    "HashingThreads",
    "LoginThrottle",
    "LoginTurns",
    "LoginWatch",
    "MailAvatar",
    "MailRealm",
    "OpenLogins",
    "PasswordFileChecker",
    "PasswordHashes",
    "PasswordProver",
    "StoreChecker",
    "Threads",
    "ThrottledPortal",
    "TooManyLogins",
    "UnusableHash",
    "file_checker_factory",
    "make_checkers",
    "make_portal",
    "store_checker_factory",
]
