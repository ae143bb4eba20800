"""Commands about the connection and the login. Source: RFC 3501 §6.1 and §6.2, and the extensions named below."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import Authenticate, Command, Enable, Id, Login

# initial-resp = (base64 / "=")   ; RFC 4959 §7
_INITIAL_RESPONSE = re.compile(rb"[A-Za-z0-9+/=]++")

_MOST_CAPABILITIES = 100
"""In one ENABLE; far more than there are."""


def bare(kind: Callable[[str], Command]) -> Callable[[Cursor, str], Command]:
    """The parser of a command without arguments, such as NOOP."""

    def parse(_: Cursor, tag: str) -> Command:
        return kind(tag)

    return parse


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


def parse_id(cursor: Cursor, tag: str) -> Command:
    """id = "ID" SP id_params_list;  id_params_list = "(" *(string SP nstring) ")" / nil   ; RFC 2971 §4."""
    cursor.space()
    if not cursor.sees(b"("):
        if cursor.try_word() != "NIL":
            raise PeerError("Expected a list of fields or NIL")
        return Id(tag)
    params: dict[str, str | None] = {}
    for _ in cursor.listed(cursor.limits.id_pairs, "fields"):
        # Departs from RFC 2971: some clients send atoms here too.
        name = cursor.astring("a field name")
        cursor.space()
        value = cursor.nstring()
        # What a client says of itself is shown to people and decides nothing.
        params[name.decode("utf-8", "replace")] = None if value is None else value.decode("utf-8", "replace")
    return Id(tag, params)


def parse_enable(cursor: Cursor, tag: str) -> Command:
    """command-any =/ "ENABLE" 1*(SP capability)   ; RFC 5161 §4."""
    names: list[str] = []
    while not names or not cursor.is_at_end():
        cursor.space()
        if len(names) == _MOST_CAPABILITIES:
            raise PeerError("Too many capabilities")
        names.append(cursor.word("a capability"))
    return Enable(tag, tuple(names))
