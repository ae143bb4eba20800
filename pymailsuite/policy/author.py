"""The author's domain: what the From field says, and what to make of one that says too much or nothing.

Source: RFC 7489 §6.6.1, RFC 9989 §5.3.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from attrs import frozen

from pymailsuite.dns.names import absolute_name, text_of
from pymailsuite.message.addresses import unambiguous_addresses
from pymailsuite.message.charsets import decode_undeclared

_REMEMBERED_MAX: Final = 500
"""Octets of a From field whose meaning is remembered."""
_READ_MAX: Final = 16 * 1024
"""Octets of a From field that is read at all: a megabyte of commas would hold up everybody for seconds."""
AUTHORS_MAX: Final = 5
"""Domains of one From field; one with more is nobody's."""


@frozen
class Author:
    """The domains of the author addresses, in A-labels, each once. ``problem`` is empty, or why there is no saying.

    ``malformed`` tells a From field that misleads (several fields, no domain name behind an @, an address that can be
    read in two ways) from one that is only missing or names nobody.
    """

    domains: tuple[str, ...] = ()
    problem: str = ""
    malformed: bool = False


# RFC 5322 §4.5 lets white space stand before the colon. It has no fold there, but who unfolds first sees such a field
# all the same. The body goes on over the lines folded below it.
_from_bodies: Final = re.compile(rb"\n[Ff][Rr][Oo][Mm][ \t]*+(?:\r?\n[ \t]++)*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)").findall

_is_host_name: Final = re.compile(r"[a-z0-9_.-]+").fullmatch


def _a_labels(domain: bytes) -> str:
    """A domain as it stands in an address, in A-labels and lower case; empty if it is no domain name."""
    name = None if domain.startswith(b"[") else absolute_name(decode_undeclared(domain))
    text = "" if name is None else text_of(name)
    return text if _is_host_name(text) else ""


def author_of(header: bytes) -> Author:
    """The author of a message by its header. Never raises."""
    bodies = _from_bodies(b"\n" + header)
    if not bodies:
        return Author(problem="no From field")
    if len(bodies) > 1:
        # RFC 5322 §3.6 allows one; a signature may cover another than the one that is shown.
        return Author(problem=f"{len(bodies)} From fields", malformed=True)
    body = bodies[0]
    if len(body) > _READ_MAX:
        return Author(problem=f"a From field of {len(body)} octets", malformed=True)
    return _author_remembered(body) if len(body) <= _REMEMBERED_MAX else _author_in(body)


def _author_in(body: bytes) -> Author:
    addresses = unambiguous_addresses(body)
    if addresses is None:
        return Author(problem="an author can be read in more than one way", malformed=True)
    domains: dict[str, None] = {}
    nameless = False
    for address in addresses:
        if address.domain is None:
            continue
        if not address.domain:
            # A name with a comma and no quotes looks like this: who is named beside it counts all the same.
            nameless = True
            continue
        domain = _a_labels(address.domain)
        if not domain:
            return Author(problem="the domain of an author is no domain name", malformed=True)
        domains[domain] = None
    if not domains:
        return Author(problem="an author without a domain" if nameless else "the From field names nobody")
    if len(domains) > AUTHORS_MAX:
        return Author(problem=f"authors of {len(domains)} domains", malformed=True)
    return Author(tuple(domains))


# Several policies ask about one message, and who writes once writes again.
_author_remembered = lru_cache(maxsize=1024)(_author_in)
