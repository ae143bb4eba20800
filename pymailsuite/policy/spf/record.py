"""SPF records: text in, frozen terms out; whatever the grammar does not allow is an error. Source: RFC 7208 §12.

Pure. The whole record is read before any of it is evaluated: one error anywhere makes all of it permerror (§4.6).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from attrs import field, frozen

from pymailsuite.policy.spf.macros import MacroError, MacroString, parse_macro_string
from pymailsuite.policy.spf.values import Result

RECORDS_REMEMBERED: Final = 4096
"""Parsed records kept, by their text: big senders share theirs over millions of messages."""

VERSION: Final = b"v=spf1"


class RecordError(ValueError):
    """A record that the grammar does not allow, in one line for the one who published it."""


@frozen
class Mechanism:
    """One directive: what it compares, and the result if it matches.

    ``prefix4`` and ``prefix6`` are the lengths of ``/24//64``. For ip4 and ip6 the network is compared as numbers:
    those bits of the address that ``mask`` has must be ``network``.
    """

    name: str
    result: Result
    text: str
    target: MacroString | None = None
    prefix4: int = 32
    prefix6: int = 128
    network: int = 0
    mask: int = 0


@frozen
class Record:
    """A record that was read: directives in order, and the modifiers that mean something."""

    mechanisms: tuple[Mechanism, ...]
    redirect: MacroString | None = None
    explanation: MacroString | None = None
    unknown: tuple[tuple[str, str], ...] = field(default=())


def is_spf_record(octets: bytes) -> bool:
    """Whether a TXT record is of this version of SPF, broken or not; those of Sender ID are not. Source: §4.5."""
    return octets[:6].lower() == VERSION and octets[6:7] in (b"", b" ")


RECORD_REMEMBERED_MAX: Final = 2048
"""Longer records are read anew each time, so that nobody fills the memory with them. Octets."""


def read_record(octets: bytes) -> Record | RecordError:
    """As :func:`parse_record`, remembered by the text, an error too."""
    return _remembered(octets) if len(octets) <= RECORD_REMEMBERED_MAX else _read(octets)


@lru_cache(maxsize=RECORDS_REMEMBERED)
def _remembered(octets: bytes) -> Record | RecordError:
    return _read(octets)


def _read(octets: bytes) -> Record | RecordError:
    try:
        return parse_record(octets)
    except RecordError as error:
        return error.with_traceback(None)


def parse_record(octets: bytes) -> Record:
    """The terms of a record. RecordError if it is none, or a broken one."""
    if not is_spf_record(octets):
        raise RecordError("not a record of version spf1")
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        raise RecordError("octets beyond ASCII") from None
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, MacroString] = {}
    unknown: list[tuple[str, str]] = []
    for term in filter(None, text[len(VERSION) :].split(" ")):
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            mechanisms.append(_mechanism(term))
            continue
        name, value = modifier["name"].lower(), modifier["value"]
        if name not in ("redirect", "exp"):
            _macro_string(term, value, any_letter=True)
            unknown.append((name, value))
        elif name in modifiers:
            raise RecordError(f"{name}= stands twice")
        else:
            modifiers[name] = _domain_spec(term, value)
    return Record(tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"), tuple(unknown))


# DOTALL: what stands behind the sign is checked as a macro string, line ends too.
_MODIFIER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9\-_.]*)=(?P<value>.*)", re.DOTALL)
_DIRECTIVE = re.compile(r"(?P<qualifier>[+\-?~]?)(?P<name>[A-Za-z][A-Za-z0-9\-_.]*)(?P<rest>.*)", re.DOTALL)
_QUALIFIERS: Final = {
    "": Result.PASS,
    "+": Result.PASS,
    "-": Result.FAIL,
    "?": Result.NEUTRAL,
    "~": Result.SOFTFAIL,
}

_LENGTH4 = r"(?:/(?P<prefix4>0|[1-9][0-9]?))?"
_LENGTH6 = r"(?P<prefix6>0|[1-9][0-9]{0,2})"
_DUAL_LENGTH = re.compile(rf"(?P<target>.*?){_LENGTH4}(?://{_LENGTH6})?", re.DOTALL)
_NUMBER = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_NETWORK4 = re.compile(rf":(?P<network>{_NUMBER}(?:\.{_NUMBER}){{3}}){_LENGTH4}")
_NETWORK6 = re.compile(rf":(?P<network>[0-9A-Fa-f:.]+)(?:/{_LENGTH6})?")

# toplabel: not all digits, no dash at either end.
_TOP_LABEL_AT_END = re.compile(r"\.(?![0-9]+\.?\Z)[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.?\Z")


def _mechanism(term: str) -> Mechanism:
    found = _DIRECTIVE.fullmatch(term)
    name = found["name"].lower() if found else ""
    if found is None or name not in _MECHANISMS:
        raise RecordError(f"{_shown(term)}: no such mechanism")
    return _MECHANISMS[name](term, name, _QUALIFIERS[found["qualifier"]], found["rest"])


def _all(term: str, name: str, result: Result, rest: str) -> Mechanism:
    if rest:
        raise RecordError(f"{_shown(term)}: all stands alone")
    return Mechanism(name, result, term)


def _named(term: str, name: str, result: Result, rest: str) -> Mechanism:
    """``include`` and ``exists``."""
    if not rest.startswith(":"):
        raise RecordError(f"{_shown(term)}: {name} needs a domain")
    return Mechanism(name, result, term, _domain_spec(term, rest[1:]))


def _ptr(term: str, name: str, result: Result, rest: str) -> Mechanism:
    return Mechanism(name, result, term, _optional_domain(term, rest))


def _addresses(term: str, name: str, result: Result, rest: str) -> Mechanism:
    """``a`` and ``mx``."""
    found = _DUAL_LENGTH.fullmatch(rest)
    if found is None:
        raise RecordError(f"{_shown(term)}: not an optional domain and prefix lengths")
    prefix4, prefix6 = _prefix(term, found["prefix4"], 32), _prefix(term, found["prefix6"], 128)
    return Mechanism(name, result, term, _optional_domain(term, found["target"]), prefix4, prefix6)


def _ip4(term: str, name: str, result: Result, rest: str) -> Mechanism:
    found = _NETWORK4.fullmatch(rest)
    if found is None:
        raise RecordError(f"{_shown(term)}: not an IPv4 network")
    mask = network_mask(_prefix(term, found["prefix4"], 32), 32)
    return Mechanism(name, result, term, network=int(IPv4Address(found["network"])) & mask, mask=mask)


def _ip6(term: str, name: str, result: Result, rest: str) -> Mechanism:
    found = _NETWORK6.fullmatch(rest)
    try:
        network = int(IPv6Address(found["network"])) if found else None
    except AddressValueError:
        network = None
    if found is None or network is None:
        raise RecordError(f"{_shown(term)}: not an IPv6 network")
    mask = network_mask(_prefix(term, found["prefix6"], 128), 128)
    return Mechanism(name, result, term, network=network & mask, mask=mask)


_MECHANISMS: Final[dict[str, Callable[[str, str, Result, str], Mechanism]]] = {
    "all": _all,
    "include": _named,
    "exists": _named,
    "ptr": _ptr,
    "a": _addresses,
    "mx": _addresses,
    "ip4": _ip4,
    "ip6": _ip6,
}


def network_mask(prefix: int, bits: int) -> int:
    """The netmask of a prefix length as a number."""
    return ((1 << prefix) - 1) << (bits - prefix)


def _prefix(term: str, digits: str | None, longest: int) -> int:
    length = longest if digits is None else int(digits)
    if length > longest:
        raise RecordError(f"{_shown(term)}: a prefix of more than {longest} bits")
    return length


def _optional_domain(term: str, rest: str) -> MacroString | None:
    if not rest:
        return None
    if not rest.startswith(":"):
        raise RecordError(f"{_shown(term)}: not a domain or prefix length")
    return _domain_spec(term, rest[1:])


def _domain_spec(term: str, text: str) -> MacroString:
    """A macro string that ends in a macro or a top label. Source: RFC 7208 §7.1 (``domain-spec``)."""
    spec = _macro_string(term, text)
    if not spec.ends_in_macro and not _TOP_LABEL_AT_END.search(str(spec.tokens[-1]) if spec.tokens else ""):
        raise RecordError(f"{_shown(term)}: a domain ends in a top-level name or a macro")
    return spec


def _macro_string(term: str, text: str, *, any_letter: bool = False) -> MacroString:
    try:
        return parse_macro_string(text, any_letter=any_letter)
    except MacroError as error:
        raise RecordError(f"{_shown(term)}: {error}") from None


def _shown(term: str) -> str:
    """A term as it may stand in a log line."""
    return repr(term[:60])[1:-1]
