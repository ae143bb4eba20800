"""The trace fields that the server adds, and hop counting. Source: RFC 5321 §4.4, RFC 3848, RFC 6531 §3.7.3."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pymailsuite.message.a_labels import a_labels, in_a_labels
from pymailsuite.message.dates import format_date
from pymailsuite.message.headers import fields
from pymailsuite.values import Address, Peer

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:\[\]\-]")
_NOT_IN_COMMENTS = re.compile(r"[^A-Za-z0-9 ._+/\-]")
_NAME_MAX: Final = 255


def with_protocol(peer: Peer, *, smtputf8: bool = False, lmtp: bool = False) -> str:
    """The word after ``with``: SMTP, ESMTPSA, LMTPS, UTF8SMTPS ... Source: RFC 3848, RFC 6531 §4.3."""
    word = "LMTP" if lmtp else "SMTP"
    if smtputf8:
        word = f"UTF8{word}"
    elif not lmtp and (peer.esmtp or peer.tls or peer.login):
        word = f"E{word}"
    return word + ("S" if peer.tls else "") + ("A" if peer.login else "")


def _name(text: str) -> str:
    """A name from the client, made safe: it may contain any characters, line ends and parentheses too."""
    return _NOT_IN_NAMES.sub("?", a_labels(text[:_NAME_MAX]))


def address_literal(ip: str) -> str:
    """``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``. Source: RFC 5321 §4.1.3."""
    return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"


@lru_cache(maxsize=256)
def _parties(peer: Peer, hostname: str, smtputf8: bool, lmtp: bool) -> tuple[str, str]:
    """The part of a Received field that all messages of a connection share, before the id and after it."""
    start = f"by {hostname} (pymailsuite)"
    if peer.ip:
        literal = address_literal(_name(peer.ip))
        host = f"{_name(peer.helo) or literal} ({_name(peer.rdns) or 'unknown'} {literal})"
        start = f"from {host}\r\n\t{start} with {with_protocol(peer, smtputf8=smtputf8, lmtp=lmtp)}"
    if not peer.tls:
        return start, ""
    version, _, cipher = _NOT_IN_COMMENTS.sub("?", peer.tls).partition(" ")
    return start, f"\r\n\t(using {version} with cipher {cipher})" if cipher else f"\r\n\t(using {version})"


def received_field(
    peer: Peer,
    hostname: str,
    queue_id: str,
    now: float,
    *,
    recipients: Sequence[Address] = (),
    smtputf8: bool = False,
    lmtp: bool = False,
) -> bytes:
    """The Received field of a message taken from ``peer`` at ``now`` (POSIX seconds), folded, with its line end.

    ``recipients`` are those of the envelope; the ``for`` clause stands only if there is exactly one, so that it reveals
    no blind copies. Domains are in A-labels, so that no message needs SMTPUTF8 because of this field; a local part
    beyond ASCII stands only with ``smtputf8``, as that address needs it anyhow. Without ``peer.ip`` the message was
    made here and there is no ``from`` clause. The login name of an authenticated peer is not shown, only that there was
    one.
    """
    before_id, after_id = _parties(peer, hostname, smtputf8, lmtp)
    lines = [f"{before_id} id {queue_id}{after_id}"]
    if len(recipients) == 1 and (smtputf8 or recipients[0].local_part.isascii()):
        address = recipients[0]
        lines.append(f"for <{address if address.domain.isascii() else in_a_labels(address)}>")
    lines[-1] += ";"
    lines.append(format_date(now))
    return b"Received: %b\r\n" % "\r\n\t".join(lines).encode("utf-8")


def return_path_field(reverse_path: Address | None) -> bytes:
    """The Return-Path field of a final delivery; ``<>`` for None."""
    if reverse_path is None:
        return b"Return-Path: <>\r\n"
    shown = reverse_path if reverse_path.domain.isascii() else in_a_labels(reverse_path)
    return b"Return-Path: <%b>\r\n" % str(shown).encode("utf-8")


def delivered_to_field(address: Address) -> bytes:
    """The Delivered-To field of one copy."""
    shown = address if address.domain.isascii() else in_a_labels(address)
    return b"Delivered-To: %b\r\n" % str(shown).encode("utf-8")


_RECEIVED = re.compile(rb"\nreceived[ \t]*:")


def count_received(header: bytes) -> int:
    """Received fields of a header block: the hops a message has made. Source: RFC 5321 §6.3."""
    # In lower case first: an expression that ignores case examines every octet by itself.
    return len(_RECEIVED.findall(b"\n" + header.lower()))


def delivered_to(header: bytes) -> list[str]:
    """The addresses in a block's Delivered-To fields, in lower case: where a message has been before."""
    return [
        body.strip().decode("utf-8", "replace").lower()
        for name, body in fields(header)
        if name.lower() == b"delivered-to"
    ]


def date_field(now: float) -> bytes:
    """A Date field for ``now``, POSIX seconds, with its line end."""
    return b"Date: %b\r\n" % format_date(now).encode("ascii")


def message_id(hostname: str) -> str:
    """A new message identifier with its angle brackets. Source: RFC 5322 §3.6.4."""
    return f"<{secrets.token_hex(16)}@{hostname}>"
