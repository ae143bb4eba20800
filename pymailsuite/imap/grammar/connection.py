"""Commands of the login. Source: RFC 3501 §6.2, RFC 4959."""

from __future__ import annotations

import binascii
import re

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import Authenticate, Command, Login

# initial-resp = (base64 / "=")   ; RFC 4959 §7
_INITIAL_RESPONSE = re.compile(rb"[A-Za-z0-9+/=]++")


def parse_login(cursor: Cursor, tag: str) -> Command:
    """login = "LOGIN" SP userid SP password;  userid = astring;  password = astring."""
    cursor.space()
    user = cursor.astring("a user name")
    cursor.space()
    password = cursor.astring("a password")
    try:
        return Login(tag, user.decode("utf-8"), password)
    except UnicodeDecodeError as error:
        raise PeerError("User name is not UTF-8") from error


def parse_authenticate(cursor: Cursor, tag: str) -> Command:
    """authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]   ; RFC 4959 §7."""
    cursor.space()
    mechanism = cursor.word("a mechanism")
    if cursor.is_at_end():
        return Authenticate(tag, mechanism)
    cursor.space()
    coded = cursor.match(_INITIAL_RESPONSE, "an initial response in base64")[0]
    try:
        initial = b"" if coded == b"=" else binascii.a2b_base64(coded, strict_mode=True)
    except binascii.Error as error:
        raise PeerError("Initial response is not base64") from error
    return Authenticate(tag, mechanism, initial)
