"""Addresses in the form in which they are compared: what changes with every message is left out."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from pymailsuite.config.sections.greylist import SenderForm
from pymailsuite.dns.names import comparable_address, comparable_domain
from pymailsuite.values import Address

# The Sender Rewriting Scheme: SRS0=hash=time=domain=local, SRS1=hash=forwarder==hash=time=domain=local.
_SRS0: Final = re.compile(r"srs0[=+-][^=]*=[^=]*=(?P<origin>.+)")
_SRS1: Final = re.compile(r"srs1[=+-][^=]*=[^=]*[=+-][=+-]?[^=]*=[^=]*=(?P<origin>.+)")
# Bounce address tags: prvs=tag=local (draft-levine-smtp-batv), prvs=local=tag (as some wrote it), btv1==tag==local.
_PRVS: Final = re.compile(r"prvs=[0-9]?[0-9]{3}[0-9a-f]{6}[=/](?P<local>.+)")
_PRVS_BACKWARD: Final = re.compile(r"prvs=(?P<local>.+)[=/][0-9]?[0-9]{3}[0-9a-f]{6}")
_BTV1: Final = re.compile(r"btv1==[^=]*==(?P<local>.+)")
# A word of at least eight hexadecimal digits with a digit and a letter in it; a number within any word.
_DIGEST: Final = re.compile(r"(?<![0-9a-z])(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{8,}(?![0-9a-z])")
_NUMBER: Final = re.compile(r"[0-9]+")


def plain_address(address: Address) -> str:
    """In the form in which addresses are compared."""
    return comparable_address(address.local_part, address.domain)


def without_tag(address: Address) -> str:
    """The same, without what stands behind a ``+`` in the local part."""
    return plain_address(Address(_untagged(address.local_part), address.domain))


def compared_sender(sender: Address | None, forms: Collection[SenderForm]) -> str:
    """The sender with what ``forms`` name left out; empty for the null sender."""
    if sender is None:
        return ""
    local_part, domain = sender.local_part.lower(), comparable_domain(sender.domain)
    if "srs" in forms:
        match = _SRS1.fullmatch(local_part) or _SRS0.fullmatch(local_part)
        if match is not None:
            return f"srs={match['origin']}@{domain}"
    if "batv" in forms:
        match = _PRVS.fullmatch(local_part) or _PRVS_BACKWARD.fullmatch(local_part) or _BTV1.fullmatch(local_part)
        if match is not None:
            local_part = match["local"]
    if "tags" in forms:
        local_part = _untagged(local_part)
    if "verp" in forms:
        local_part = _NUMBER.sub("#", _DIGEST.sub("#", local_part))
    return f"{local_part}@{domain}"


def _untagged(local_part: str) -> str:
    """A local part that begins with the mark has no user in front of it, and stays."""
    return local_part.partition("+")[0] or local_part
