"""DSN (RFC 3461): what the sender wants to be told of, for each recipient, and by which names.

Values are kept decoded: a report and the next host are told the same, each in its own encoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, Final

from pymailsuite.interfaces import Notify, Ret
from pymailsuite.smtp.extension import ExtensionContext, Parameter, SmtpExtension
from pymailsuite.smtp.grammar import ArgumentRefused, UnknownParameter

MAX_ENVID: Final = 100
"""Characters of ENVID, decoded. Source: RFC 3461 §4.4."""

MAX_ORCPT: Final = 500
"""Octets of ORCPT, as it is sent. Source: RFC 3461 §4.2."""

# xtext = *( xchar / hexchar ); xchar = %d33-42 / %d44-60 / %d62-126; hexchar = "+" 2(%d48-57 / %d65-70)
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_HEXCHAR: Final = re.compile(r"\+([0-9A-F]{2})")
# original-recipient-address = addr-type ";" xtext; addr-type = atom
_TYPED: Final = re.compile(r"([!#-'*+\-/0-9=?A-Z^-~]+);(.+)")
# utf-8-addr-xtext, and utf-8-addr-unitext, which has more than ASCII besides (RFC 6533 §3)
_UNITEXT: Final = re.compile(r"(?:[!-*,-<>-\[\]-~]|[^\x00-\x7f]|\\x\{[0-9A-F]{2,6}\})+")
_EMBEDDED: Final = re.compile(r"\\x\{([0-9A-F]{2,6})\}")

_KINDS: Final = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}


def _decoded(text: str, keyword: str) -> str:
    """What an xtext stands for. ArgumentRefused if it is none, or stands for more than printable ASCII."""
    if _XTEXT.fullmatch(text) is not None:
        decoded = _HEXCHAR.sub(lambda found: chr(int(found[1], 16)), text)
        if decoded.isascii() and decoded.isprintable():
            return decoded
    raise ArgumentRefused(f"Malformed {keyword}")


def _character(embedded: re.Match[str]) -> str:
    number = int(embedded[1], 16)
    return chr(number) if number <= 0x10FFFF else "\0"


def parse_ret(value: str) -> Ret:
    """``FULL`` or ``HDRS``."""
    try:
        return Ret(value.upper())
    except ValueError:
        raise ArgumentRefused("Unknown value of RET") from None


def parse_envid(value: str) -> str:
    """The envelope's identifier, decoded."""
    decoded = _decoded(value, "ENVID")
    if len(decoded) > MAX_ENVID:
        raise ArgumentRefused("ENVID too long")
    return decoded


def parse_notify(value: str) -> Notify:
    """``NEVER``, or one or several of the others."""
    words = value.upper().split(",")
    if words == ["NEVER"]:
        return Notify.NEVER
    try:
        return reduce(or_, [_KINDS[word] for word in words])
    except KeyError:
        raise ArgumentRefused("Unknown value of NOTIFY") from None


def parse_orcpt(value: str) -> str:
    """The original recipient with its type, decoded: ``rfc822;a@b.example``."""
    typed = _TYPED.fullmatch(value)
    if typed is None:
        raise ArgumentRefused("Malformed ORCPT")
    if len(value.encode()) > MAX_ORCPT:
        raise ArgumentRefused("ORCPT too long")
    kind, address = typed.groups()
    if kind.lower() != "utf-8":
        return f"{kind};{_decoded(address, 'ORCPT')}"
    decoded = _EMBEDDED.sub(_character, address)
    if _UNITEXT.fullmatch(address) is None or not decoded.isprintable():
        raise ArgumentRefused("Malformed ORCPT")
    return f"{kind};{decoded}"


def _parameter(keyword: str, take: Callable[[str], Any]) -> Parameter:
    """The parameter, where it is offered."""

    def take_if_offered(context: ExtensionContext, value: str) -> Any:
        if not context.settings.offer_dsn:
            raise UnknownParameter
        return take(value)

    return Parameter(keyword, take_if_offered)


dsn = SmtpExtension(
    "dsn",
    lambda context: "DSN" if context.settings.offer_dsn else "",
    mail_parameters=(_parameter("RET", parse_ret), _parameter("ENVID", parse_envid)),
    recipient_parameters=(_parameter("NOTIFY", parse_notify), _parameter("ORCPT", parse_orcpt)),
    position=35,
)
