"""Domains and addresses in the form that every host accepts: A-labels. Source: RFC 5890 §2.3.2.1, RFC 6531 §3.7.3."""

from __future__ import annotations

import idna
from attrs import evolve

from pymailsuite.values import Address


def a_labels(domain: str) -> str:
    """``domain`` in A-labels (with the mapping of UTS 46); unchanged if it is ASCII, or has no such form."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain


def in_a_labels(address: Address) -> Address:
    """The address in ASCII where that is possible.

    It is not for a local part beyond ASCII: only SMTPUTF8 carries that address, so its domain stays unchanged.
    """
    if address.domain.isascii() or not address.local_part.isascii():
        return address
    return evolve(address, domain=a_labels(address.domain))
