"""Modified UTF-7, the form in which mailbox names travel. Source: RFC 3501 §5.1.3.

Printing ASCII stands for itself, ``&`` is ``&-``, everything else is UTF-16BE in a BASE64 whose ``/`` is ``,`` between
``&`` and ``-``.
"""

from __future__ import annotations

import binascii
import re

_ENCODED = re.compile(r"&([A-Za-z0-9+,]*)-?|[^\x20-\x7e]")
_TO_ENCODE = re.compile(r"[^\x20-\x25\x27-\x7e]+")


def encode(name: str) -> bytes:
    """The wire form of ``name``. UnicodeEncodeError for a lone surrogate."""
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode("ascii")
    return _TO_ENCODE.sub(_encode_run, name).encode("ascii")


def _encode_run(run: re.Match[str]) -> str:
    # An ampersand next to other characters is taken into their BASE64 by no one: RFC 3501 gives it "&-" alone.
    return "&-".join(_base64(text) for text in run[0].split("&"))


def _base64(text: str) -> str:
    if not text:
        return ""
    octets = binascii.b2a_base64(text.encode("utf-16-be"), newline=False)
    return "&" + octets.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def decode(octets: bytes) -> str:
    """The name that ``octets`` stand for.

    ValueError for what RFC 3501 does not allow: octets that are no printing ASCII, an unfinished or empty shift, bad
    BASE64 or UTF-16, and printing ASCII in BASE64 (two wire forms of one name would be a way around access rules).
    """
    if b"&" not in octets and octets.isascii():
        text = octets.decode("ascii")
        if text.isprintable():
            return text
        raise ValueError("control character")
    return _ENCODED.sub(_decode_run, octets.decode("ascii"))


def _decode_run(run: re.Match[str]) -> str:
    if run[1] is None or run[0][-1] != "-":
        raise ValueError("octet outside printing ASCII, or a shift without its end")
    if not run[1]:
        return "&"
    # binascii.Error and UnicodeDecodeError are ValueErrors.
    coded = run[1].replace(",", "/")
    text = binascii.a2b_base64(coded + "=" * (-len(coded) % 4)).decode("utf-16-be")
    if not text or _PRINTING.search(text):
        raise ValueError("printing ASCII in BASE64")
    return text


_PRINTING = re.compile(r"[\x20-\x7e]")
