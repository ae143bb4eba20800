"""The Received-SPF field. Source: RFC 7208 §9.1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pymailsuite.message.a_labels import a_labels
from pymailsuite.policy.spf.values import Evaluation, Identity, Result

_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*")
_NOT_IN_COMMENTS = re.compile(r"[^\x20-\x27\x2a-\x5b\x5d-\x7e]")
_VALUE_MAX: Final = 320
"""Octets of a value, so that no line gets longer than RFC 5322 §2.1.1 allows, whatever the client says."""


def received_spf_field(evaluation: Evaluation, receiver: str) -> bytes:
    """The field for one evaluation, folded, with its line end; a local part beyond ASCII stands as UTF-8 (RFC 6532).

    Such a sender's message needs SMTPUTF8 anyhow; nothing else here may be the reason why one does."""
    comment = _NOT_IN_COMMENTS.sub("?", f"{receiver}: {evaluation.reason}")[:_VALUE_MAX]
    pairs = ";\r\n\t".join(f"{key}={_value(value)}" for key, value in _pairs(evaluation, receiver))
    return f"Received-SPF: {evaluation.result.value} ({comment})\r\n\t{pairs}\r\n".encode("utf-8", "replace")


def _pairs(evaluation: Evaluation, receiver: str) -> Iterator[tuple[str, str]]:
    query = evaluation.query
    yield "receiver", receiver
    yield "identity", query.identity.value
    yield "client-ip", str(query.ip)
    if query.identity is Identity.MAIL_FROM:
        yield "envelope-from", _in_a_labels(query.sender)
    yield "helo", _ascii(a_labels(query.helo))
    if evaluation.mechanism:
        yield "mechanism", evaluation.mechanism
    if evaluation.result in (Result.PERMERROR, Result.TEMPERROR):
        yield "problem", _ascii(evaluation.reason)


def _in_a_labels(sender: str) -> str:
    local_part, at, domain = sender.rpartition("@")
    return f"{local_part}{at}{a_labels(domain)}" if local_part.isascii() else sender


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")


def _value(text: str) -> str:
    """A dot-atom where the text is one, else a quoted-string without what may not stand in it."""
    text = text[:_VALUE_MAX]
    if _DOT_ATOM.fullmatch(text):
        return text
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return '"{}"'.format(printable.replace("\\", "\\\\").replace('"', '\\"'))
