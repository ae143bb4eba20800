"""Domain names as people and protocols write them, made absolute names for a question."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.name
import idna

_REMEMBERED_MAX: Final = 255
"""Characters of a name beyond ASCII whose form is remembered."""


def absolute_name(name: str) -> dns.name.Name | None:
    """The name to ask for, always absolute: no search list is ever applied.

    U-labels become A-labels by IDNA 2008 (RFC 5891) with the mapping of UTS 46. None for text that can be no domain
    name (an empty or over-long label, characters IDNA forbids): it cannot be registered, so it does not exist.
    """
    try:
        if not name.isascii():
            name = idna.encode(name, uts46=True).decode("ascii")
        return dns.name.from_text(name.lower(), dns.name.root)
    except (idna.IDNAError, dns.exception.DNSException):
        return None


def text_of(name: dns.name.Name) -> str:
    """``name`` in lower case without its final dot; ``""`` for the root."""
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()


def ascii_name(name: str) -> str:
    """``name`` in A-labels and lower case, without a final dot; as it is if it can be no domain name."""
    absolute = absolute_name(name)
    return text_of(absolute) if absolute is not None else name


@lru_cache(maxsize=4096)
def address_of_literal(host: str) -> str | None:
    """The address in an address literal ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 §4.1.3), or a bare one."""
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    text = text[5:] if text[:5].lower() == "ipv6:" else text
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def comparable_domain(domain: str) -> str:
    """The one form in which a domain is compared, counted and remembered: A-labels and lower case, no final dot.

    ``Bücher.example``, ``bücher.example.`` and ``xn--bcher-kva.EXAMPLE`` are one domain (RFC 5890 §2.3.2.4). Text that
    can be no domain name is only made lower case; an address literal keeps its brackets.
    """
    # Nearly all are ASCII, and this is asked for every message.
    if not domain.isascii():
        return _comparable(domain)
    lowered = domain.lower()
    return lowered[:-1] if lowered[-1:] == "." else lowered


def comparable_address(local_part: str, domain: str) -> str:
    """The same for an address. No mail host tells ``Joe`` and ``joe`` apart any more."""
    return f"{local_part.lower()}@{comparable_domain(domain)}"


def comparable_name(text: str) -> str:
    """The same for what may be an address, a domain, or neither (which is made lower case)."""
    if text.isascii():
        # As a domain does, an address ends with one. This is asked several times for every message.
        lowered = text.lower()
        return lowered[:-1] if lowered[-1:] == "." else lowered
    local_part, at, domain = text.rpartition("@")
    return comparable_address(local_part, domain) if at else comparable_domain(domain)


def is_below(domain: str, domains: Collection[str]) -> bool:
    """Whether ``domain`` is one of these or below one of these, all in the form of :func:`comparable_domain`."""
    return any(domain == known or domain.endswith("." + known) for known in domains)


@lru_cache(maxsize=1024)
def _comparable_short(domain: str) -> str:
    return ascii_name(domain.lower())


def _comparable(domain: str) -> str:
    return _comparable_short(domain) if len(domain) <= _REMEMBERED_MAX else ascii_name(domain.lower())
