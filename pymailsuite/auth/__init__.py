"""Who may log in: cred checkers, realm and avatars, password hashes."""

from pymailsuite.auth.checkers import CheckerChain, ForeignChecker, StoreChecker
from pymailsuite.auth.factories import (
    CheckerSurroundings,
    file_checker_factory,
    make_checkers,
    store_checker_factory,
)
from pymailsuite.auth.login_queue import LoginQueue, TooManyLogins
from pymailsuite.auth.logins import LoginWatch, OpenLogins
from pymailsuite.auth.password_file import PasswordFileChecker
from pymailsuite.auth.password_verifier import PasswordVerifier
from pymailsuite.auth.passwords import PasswordHashes, UnusableHash
from pymailsuite.auth.realm import MailAvatar, MailRealm, make_portal
from pymailsuite.auth.scram import ScramLookup, make_scram_keys
from pymailsuite.auth.service import AuthService
from pymailsuite.auth.threads import HashingThreads, Threads
from pymailsuite.auth.throttle import LoginThrottle, ThrottledPortal

__all__ = [
    "AuthService",
    "CheckerChain",
    "CheckerSurroundings",
    "ForeignChecker",
    "HashingThreads",
    "LoginQueue",
    "LoginThrottle",
    "LoginWatch",
    "MailAvatar",
    "MailRealm",
    "OpenLogins",
    "PasswordFileChecker",
    "PasswordHashes",
    "PasswordVerifier",
    "ScramLookup",
    "StoreChecker",
    "Threads",
    "ThrottledPortal",
    "TooManyLogins",
    "UnusableHash",
    "file_checker_factory",
    "make_checkers",
    "make_portal",
    "make_scram_keys",
    "store_checker_factory",
]
