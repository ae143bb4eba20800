"""Tag lists, ``a=rsa-sha256; d=example.org``: the form of signatures and of key records. Source: RFC 6376 §3.2."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final

_SPACE: Final = " \t\r\n"
_is_name = re.compile(r"[A-Za-z][A-Za-z0-9_]*+").fullmatch
_is_plain = re.compile(rb"[\x21-\x7e \t\r\n]*+").fullmatch
# RFC 8616 §3 lets values hold UTF-8. A record pasted with bare LF is read all the same.
_VALUE = re.compile(rb"[\x21-\x3a\x3c-\x7e\x80-\xff \t\r\n]*+")
_HEX_OCTET = re.compile(rb"=([0-9A-F]{2})")
_LINE: Final = 76
_LONGEST_LINE: Final = 980
_FOLD: Final = b"\r\n "
"""A space and no tab: dkimpy finds the instance of an ARC field by the space before ``i=``."""


class TagError(ValueError):
    """This is no tag list, or a value in it is not what its tag wants. The text says what is wrong."""


def parse_tags(text: bytes) -> dict[str, str]:
    """Names (which keep their case) to values, without the white space around them. TagError.

    One tag that stands twice makes the whole list invalid, and so does an empty one that is not the last.
    """
    tags: dict[str, str] = {}
    specs = text.decode("utf-8", "surrogateescape").split(";")
    if not specs[-1].strip(_SPACE):
        del specs[-1]
    for spec in specs:
        name, equals, value = spec.partition("=")
        tag = name.strip(_SPACE)
        if not equals or not _is_name(tag):
            raise TagError("not a list of tags")
        if tag in tags:
            raise TagError(f"tag {tag}= stands twice")
        tags[tag] = value.strip(_SPACE)
    if not _is_plain(text):
        _check_values(tags)
    return tags


def _check_values(tags: Mapping[str, str]) -> None:
    for tag, value in tags.items():
        octets = value.encode("utf-8", "surrogateescape")
        if not _VALUE.fullmatch(octets):
            raise TagError(f"tag {tag}= holds forbidden octets")
        try:
            octets.decode("utf-8")
        except UnicodeDecodeError:
            raise TagError(f"tag {tag}= is not UTF-8") from None


def decode_base64(tag: str, text: str) -> bytes:
    """The octets of a base64 value, white space in it left out. TagError.

    The padding may be missing: RFC 6376 §2.10 has it so (``base64string``).
    """
    packed = "".join(text.split())
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise TagError(f"tag {tag}= is not base64") from None


def decode_quoted_printable(text: str) -> str:
    """A value in ``dkim-quoted-printable``; octets that are no UTF-8 become U+FFFD. Source: RFC 6376 §2.11."""
    if "=" not in text:
        return text
    octets = "".join(text.split()).encode("utf-8")
    return _HEX_OCTET.sub(lambda coded: bytes.fromhex(coded[1].decode()), octets).decode("utf-8", "replace")


def base64_text(octets: bytes) -> str:
    """Octets as a base64 value."""
    return base64.b64encode(octets).decode("ascii")


def words(text: str) -> tuple[str, ...]:
    """The parts of a list with colons, white space around them left out."""
    return tuple(part.strip() for part in text.split(":"))


def without_signature(field: bytes) -> bytes:
    """A field body with the value of its ``b=`` tag and the white space around that deleted. Source: RFC 6376 §3.7."""
    specs = field.split(b";")
    for position, spec in enumerate(specs):
        name, equals, _ = spec.partition(b"=")
        if equals and name.strip(b" \t\r\n") == b"b":
            specs[position] = name + equals
            break
    return b";".join(specs)


def render_field(
    name: bytes, tags: Sequence[tuple[str, str]], signature: bytes = b"", *, fold_signature: bool = True
) -> bytes:
    """A field with these tags in this order, folded, without its final line end. ``b`` gets ``signature`` in base64.

    The folds between tags do not depend on the signature: with an empty one this is what is to be signed, whatever the
    canonicalisation is. A signature that is not to be folded still is, if the line would be too long for RFC 5322.
    """
    lines = [name + b":"]
    fresh = False
    for position, (tag, value) in enumerate(tags):
        end = b";" if position < len(tags) - 1 else b""
        text = b"%b=%b%b" % (tag.encode(), value.encode(), end)
        if tag == "b":
            encoded = base64.b64encode(signature)
            step = 72 if fold_signature else _LONGEST_LINE
            pieces = [encoded[start : start + step] for start in range(0, len(encoded), step)]
            lines.append(b"b=" + _FOLD.join(pieces) + end)
            fresh = True
        elif fresh or len(lines[-1]) + 1 + len(text) > _LINE:
            lines.extend(_folded_list(text) if tag == "h" else [text])
            fresh = False
        else:
            lines[-1] += b" " + text
    return _FOLD.join(lines)


def _folded_list(text: bytes) -> list[bytes]:
    """A list with colons in lines of a decent length."""
    lines = [b""]
    for word in re.findall(rb"[^:]++:?+", text):
        if lines[-1] and len(lines[-1]) + len(word) > _LINE:
            lines.append(b"")
        lines[-1] += word
    return lines
