"""The originators of a message: the addresses that a user must have the right to send as.

Source: RFC 5322 §3.6.2 (From, Sender), §3.6.6 (Resent-From, Resent-Sender); RFC 6854 lets From hold groups.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from attrs import frozen

from pymailsuite.message.addresses import unambiguous_addresses
from pymailsuite.message.charsets import decode_undeclared
from pymailsuite.values import Address

_REMEMBERED_MAX: Final = 500
"""The greatest number of octets of a field whose parsed value is cached."""
_READ_MAX: Final = 16 * 1024
"""The greatest number of octets of a field that is parsed: a megabyte of commas would block the server for seconds."""

# RFC 5322 §4.5 lets white space stand before the colon. It has no fold there, but a program that unfolds first sees
# such a field all the same. The body goes on over the lines folded below it.
_fields: Final = re.compile(
    rb"\n(from|sender|resent-from|resent-sender)[ \t]*+(?:\r?\n[ \t]++)*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE
).findall


@frozen
class Originators:
    """``authors`` are the addresses of From, ``addresses`` also those of Sender and of the Resent- fields, each once.

    ``problem`` is empty, or why they are not clear, as text that continues "the message".
    """

    addresses: tuple[Address, ...] = ()
    authors: tuple[Address, ...] = ()
    problem: str = ""


def originators_of(header: bytes, limit: int) -> Originators:
    """The originators in a header; more than ``limit`` are a problem. Never raises.

    There must be one From field, and one Sender field at most (RFC 5322 §3.6): of two, programs differ in which one
    they show.
    """
    found: dict[Address, None] = {}
    authors: dict[Address, None] = {}
    count = {b"from": 0, b"sender": 0}
    for name, body in _fields(b"\n" + header):
        kind = name.lower()
        label = name.decode("ascii").title()
        count[kind] = count.get(kind, 0) + 1
        if len(body) > _READ_MAX:
            return Originators(problem=f"has a {label} field of {len(body)} octets")
        mailboxes, problem = _mailboxes_remembered(body) if len(body) <= _REMEMBERED_MAX else _mailboxes_in(body)
        if kind == b"from" and not (mailboxes or problem):
            problem = "that names nobody"
        if problem:
            return Originators(problem=f"has a {label} field {problem}")
        found.update(dict.fromkeys(mailboxes))
        if kind == b"from":
            authors.update(dict.fromkeys(mailboxes))
        if len(found) > limit:
            return Originators(problem=f"is from more than {limit} addresses")
    if not count[b"from"]:
        return Originators(problem="has no From field")
    for kind, name in ((b"from", "From"), (b"sender", "Sender")):
        if count[kind] > 1:
            return Originators(problem=f"has {count[kind]} {name} fields")
    return Originators(tuple(found), tuple(authors))


def _mailboxes_in(body: bytes) -> tuple[tuple[Address, ...], str]:
    """The addresses in a field, or why they are not clear."""
    addresses = unambiguous_addresses(body)
    if addresses is None:
        return (), "that can be read in more than one way"
    found: list[Address] = []
    for address in addresses:
        if address.domain is None:
            continue
        if not address.domain:
            return (), "with an address without a domain"
        domain = decode_undeclared(address.domain).lower().removesuffix(".")
        found.append(Address(decode_undeclared(address.local_part or b""), domain))
    return tuple(found), ""


# Authors write again.
_mailboxes_remembered = lru_cache(maxsize=1024)(_mailboxes_in)
