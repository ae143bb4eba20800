"""Parsing of commands: the grammar of RFC 5321 §4.1.2 and of the parameters the extensions add.

Each regular expression stands under the rule it is for. The strict form is the standard's, with a final dot of the
domain forgiven; the lenient one also takes what people type and deployed software sends: no angle brackets, spaces
around the colon, an underscore in a domain, dots anywhere in a local part.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final

from pymailsuite.errors import PeerError
from pymailsuite.values import Address

MAX_LOCAL_PART: Final = 256
"""Octets of a local part. RFC 5321 §4.5.3.1.1 asks for 64 at least; VERP and SRS make longer ones."""

MAX_DOMAIN: Final = 255
"""Octets of a domain. Source: RFC 5321 §4.5.3.1.2."""


class SyntaxRefused(PeerError):
    """A command whose argument does not follow the grammar."""

    enhanced_code = "5.5.2"
    text = "Syntax error in command or argument"


class ArgumentRefused(PeerError):
    """A parameter that is malformed or given twice."""

    text = "Invalid argument"


class UnknownParameter(PeerError):
    """A parameter of MAIL or RCPT that no extension knows. Source: RFC 5321 §4.1.1.11."""

    smtp_code = 555
    text = "Parameter not recognized or not implemented"


class BadSenderSyntax(PeerError):
    """RFC 3463 X.1.7."""

    enhanced_code = "5.1.7"
    text = "Bad sender address syntax"


class BadRecipientSyntax(PeerError):
    """RFC 3463 X.1.3."""

    enhanced_code = "5.1.3"
    text = "Bad recipient address syntax"


# Everything above ASCII is allowed, so the sets exclude characters of ASCII: a set that includes the rest makes ``re``
# build a table of all characters, and compiling it would take most of the time of a start.

# atext = ALPHA / DIGIT / ... (RFC 5322 §3.2.3), / UTF8-non-ascii (RFC 6531 §3.3)
_ATEXT: Final = r'[^\x00-\x20"(),.:;<>@\[\\\]\x7f]'
# Dot-string = Atom *("." Atom)
_DOT_STRING: Final = rf"{_ATEXT}+(?:\.{_ATEXT}+)*"
# Departs from RFC 5321 §4.1.2: dots at the ends and in a row. Mobile carriers have assigned such addresses, and their
# servers want them without quotes.
_LOOSE_DOT_STRING: Final = _ATEXT.replace(",.:", ",:") + "+"
# Quoted-string = DQUOTE *QcontentSMTP DQUOTE; qtextSMTP = %d32-33 / %d35-91 / %d93-126; quoted-pairSMTP = "\" %d32-126
_QUOTED: Final = r'"(?:[^\x00-\x1f"\\\x7f]|\\[\x20-\x7e])*"'
# sub-domain = Let-dig [Ldh-str] / U-label (RFC 6531 §3.3); Domain = sub-domain *("." sub-domain)
_NOT_LET_DIG: Final = r"\x00-,./:-@\[-`{-\x7f"
_SUB_DOMAIN: Final = rf"[^{_NOT_LET_DIG}\-](?:[^{_NOT_LET_DIG}]*[^{_NOT_LET_DIG}\-])?"
# Departs from RFC 5321 §2.3.5: an underscore in a domain, as names in Windows networks have it.
_LOOSE_SUB_DOMAIN: Final = _SUB_DOMAIN.replace(r"\[-`", r"\[-\^`")
# address-literal = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
_LITERAL: Final = r"\[[\x21-\x5a\x5e-\x7e]+\]"

_DOMAIN: Final = re.compile(rf"{_SUB_DOMAIN}(?:\.{_SUB_DOMAIN})*")
_HELO_NAME: Final = re.compile(r"[^\x00-\x20\x7f]+")


def _mailbox(dot_string: str, sub_domain: str) -> str:
    """Mailbox = Local-part "@" ( Domain / address-literal )."""
    domain = rf"{sub_domain}(?:\.{sub_domain})*"
    return rf"(?:({dot_string})|({_QUOTED}))(?:@({domain}|{_LITERAL})\.?)?"


# Path = "<" [ A-d-l ":" ] Mailbox ">"; A-d-l = At-domain *( "," At-domain ). Source routes are accepted and ignored
# (RFC 5321 §4.1.1.3, appendix C).
_ROUTE: Final = r"(?:@[^\s:<>]+:)?"
# The group of parameters is the rest of the line; a path is followed by a space or by nothing.
_STRICT_PATH: Final = re.compile(rf"<(?:{_ROUTE}{_mailbox(_DOT_STRING, _SUB_DOMAIN)})?>(?: +(.*))?")
_LOOSE_MAILBOX: Final = _mailbox(_LOOSE_DOT_STRING, _LOOSE_SUB_DOMAIN)
_LENIENT_PATH: Final = re.compile(rf"\s*(?:<\s*(?:{_ROUTE}{_LOOSE_MAILBOX})?\s*>|{_LOOSE_MAILBOX})(?:\s+(.*))?")
_ESCAPED: Final = re.compile(r"\\(.)")
_LENIENT_KEYWORD: Final = re.compile(r"\s*([A-Za-z]+)\s*:")

# esmtp-param = esmtp-keyword ["=" esmtp-value]; esmtp-value = 1*(%d33-60 / %d62-126), UTF-8 added by RFC 6531 §3.3
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?")
_NO_PARAMETERS: Final[Mapping[str, str]] = {}


def command_text(line: bytes) -> str:
    """A command line as text: UTF-8 (RFC 6531 §3.3), which ASCII is. SyntaxRefused if it is neither, or has control
    characters.

    A bare CR or LF is a control character: a command smuggled in behind one is never executed.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxRefused("Command is not UTF-8") from None
    if text.isprintable():
        return text
    if any((c < " " and c != "\t") or "\x7f" <= c <= "\x9f" for c in text):
        raise SyntaxRefused("Control characters in command")
    return text


def after_keyword(argument: str, keyword: str, lenient: bool) -> str:
    """The text after ``FROM:`` or ``TO:`` in the argument of a command. SyntaxRefused if the argument begins
    otherwise."""
    start = len(keyword) + 1
    if argument[:start].upper() == f"{keyword}:":
        return argument[start:]
    match = _LENIENT_KEYWORD.match(argument) if lenient else None
    if match is None or match[1].upper() != keyword:
        raise SyntaxRefused
    return argument[match.end() :]


def parse_helo(argument: str) -> str:
    """The name that the client gives, unchanged: whether the name is acceptable is a matter of policy.

    Departs from RFC 5321 §4.1.1.1: any word is accepted, since clients behind NAT send names of all sorts.
    SyntaxRefused if there is no word.
    """
    name = argument.strip()
    if _HELO_NAME.fullmatch(name) is None or len(name) > MAX_DOMAIN:
        raise SyntaxRefused("HELO requires domain address")
    return name


def parse_reverse_path(text: str, lenient: bool) -> tuple[Address | None, Mapping[str, str]]:
    """Parse the text after ``MAIL FROM:``: the path (None: null) and the parameters, keywords in upper case.

    SyntaxRefused, BadSenderSyntax, ArgumentRefused.
    """
    match = (_LENIENT_PATH if lenient else _STRICT_PATH).fullmatch(text)
    if match is None:
        raise _refused(text, lenient, BadSenderSyntax)
    return _address(match, BadSenderSyntax), _parameters(match)


def parse_forward_path(text: str, lenient: bool) -> tuple[Address, Mapping[str, str]]:
    """Parse the text after ``RCPT TO:``. ``<postmaster>`` alone may be without a domain (RFC 5321 §4.1.1.3).

    SyntaxRefused, BadRecipientSyntax, ArgumentRefused.
    """
    match = (_LENIENT_PATH if lenient else _STRICT_PATH).fullmatch(text)
    if match is None:
        raise _refused(text, lenient, BadRecipientSyntax)
    address = _address(match, BadRecipientSyntax)
    if address is None:
        raise BadRecipientSyntax("Recipient address missing")
    if not address.domain and address.local_part.lower() != "postmaster":
        raise BadRecipientSyntax("Recipient address has no domain")
    return address, _parameters(match)


def _refused(text: str, lenient: bool, bad_address: type[PeerError]) -> PeerError:
    """The error for a command that does not match: either its form is wrong, or only the address in it."""
    return bad_address() if lenient or text.startswith("<") else SyntaxRefused()


def _address(match: re.Match[str], bad_address: type[PeerError]) -> Address | None:
    groups = match.groups()
    dot_string, quoted, domain = groups[:3]
    if len(groups) > 4 and dot_string is None and quoted is None:
        dot_string, quoted, domain = groups[3:6]
    unquoted = False
    if dot_string is not None:
        local_part = dot_string
        if "." in dot_string:
            unquoted = dot_string[0] == "." or dot_string[-1] == "." or ".." in dot_string
    elif quoted is not None:
        local_part = _ESCAPED.sub(r"\1", quoted[1:-1])
    else:
        return None
    if domain is None:
        domain = ""
    else:
        domain = domain.lower()
    if len(local_part) > MAX_LOCAL_PART or len(domain) > MAX_DOMAIN:
        raise bad_address("Address too long")
    if domain.startswith("["):
        domain = _literal(domain, bad_address)
    return Address(local_part, domain, unquoted)


def _literal(domain: str, bad_address: type[PeerError]) -> str:
    """An address literal, checked and in one form. Source: RFC 5321 §4.1.3."""
    inner = domain[1:-1]
    try:
        if inner.startswith("ipv6:"):
            return f"[IPv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError:
        raise bad_address("Bad address literal") from None


def _parameters(match: re.Match[str]) -> Mapping[str, str]:
    text = match[match.re.groups]
    if not text:
        return _NO_PARAMETERS
    parameters: dict[str, str] = {}
    for word in text.split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None:
            raise ArgumentRefused("Malformed parameter")
        keyword = parameter[1].upper()
        if keyword in parameters:
            raise ArgumentRefused(f"Parameter {keyword} given twice")
        parameters[keyword] = parameter[2] or ""
    return parameters


def is_domain(name: str) -> bool:
    """Whether a name, for example that of HELO, has the form of a domain in RFC 5321."""
    return len(name) <= MAX_DOMAIN and _DOMAIN.fullmatch(name) is not None
