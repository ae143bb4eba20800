"""Finds the header fields that a scan needs, in bulk.

One regular expression goes over the block from line end to line end and stops only at the fields that ENVELOPE,
BODYSTRUCTURE and the keys of a message show; others cost one comparison of a letter or two. Its repetitions are
possessive: no octet is examined more than a few times, whatever the input.
"""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.message.limits import ScanLimits

_ADDRESS_FIELDS: Final = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))
_TEXT_FIELDS: Final = frozenset((b"subject", b"in-reply-to", b"message-id", b"content-description"))
_SHOWN: Final = (
    *(b"date", b"from", b"subject", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"in-reply-to", b"message-id"),
    b"references",
    *(b"content-type", b"content-transfer-encoding", b"content-id", b"content-description"),
    *(b"content-md5", b"content-disposition", b"content-language", b"content-location"),
)


def _any_case(name: bytes) -> bytes:
    """An expression for ``name``: a set for each letter, which is quicker to refuse a line with than IGNORECASE is."""
    return b"".join(b"[%c%c]" % (octet - 32, octet) if chr(octet).isalpha() else b"%c" % octet for octet in name)


_OCTETS_MAX: Final = ScanLimits().header_octets
_CONTENT: Final = b"content-"
_names = [_any_case(name) for name in _SHOWN if not name.startswith(_CONTENT)]
_rests = [_any_case(name.removeprefix(_CONTENT)) for name in _SHOWN if name.startswith(_CONTENT)]
_names.append(rb"%b(?:%b)" % (_any_case(_CONTENT), b"|".join(_rests)))
_NAME: Final = b"|".join(_names)
# RFC 5322 §4.5 lets white space stand before the colon; the body goes on over the lines folded below it.
_FIELD: Final = rb"\n(%b)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
_find_fields = re.compile(_FIELD % _NAME).findall
_find_thread_fields = re.compile(
    _FIELD % b"|".join(map(_any_case, (b"message-id", b"references", b"in-reply-to")))
).findall
_before_last_field = re.compile(rb".*\n(?=[^ \t])", re.DOTALL).match
_last_field = re.compile(rb"(%b)[ \t]*+(?:(:)|\Z)" % _NAME).match
_NAME_MAX: Final = max(map(len, _SHOWN))
_LF: Final = ord("\n")
"""Looked for as a number: for octets ``in`` first tries whether they are one, and raises an error internally."""
_OTHER: Final = b"x:"
"""Stands for a field that is not shown, or not again."""


def whole_fields(header: bytes) -> int:
    """The octets of an incomplete header that are complete fields: all but the last one."""
    match = _before_last_field(header)
    return match.end() if match else 0


def unfold(text: bytes) -> bytes:
    """Fields without their folds: each on one line that ends in LF. Source: RFC 5322 §2.2.3."""
    return text.replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b"\t")


_LIST_ENTRIES = re.compile(rb'(?:(?:[^",]++|"(?:[^"\\]++|\\.)*+")*+,)*+', re.DOTALL).match
CUT_MARK: Final = b"...:;"
"""Ends a list that was cut: a group without members."""


def cut_list(body: bytes, octets: int) -> bytes:
    """The entries of a list that end within so many octets, and the mark that others followed."""
    match = _LIST_ENTRIES(body[:octets])
    return (match[0] if match else b"") + CUT_MARK


def first_fields(header: bytes, octets_max: int = _OCTETS_MAX) -> dict[bytes, bytes]:
    """The body of the first field of each name that is shown, names in lower case; unfolded, no white space around.

    Address fields that stand more than once (against RFC 5322 §3.6) are joined by commas, so that none is hidden. A
    field of more than ``octets_max`` octets is cut, and ends in a mark: ``...``, in a list of addresses as the name of
    an empty group.
    """
    if len(header) > octets_max:
        return _first_fields_cut(header, octets_max)
    found: dict[bytes, bytes] = {}
    repeated: dict[bytes, list[bytes]] | None = None
    for name, raw in _find_fields(b"\n" + header):
        key = name.lower()
        body = (unfold(raw) if _LF in raw else raw).strip()
        if key not in found:
            found[key] = body
        elif key in _ADDRESS_FIELDS:
            repeated = repeated or {}
            repeated.setdefault(key, [found[key]]).append(body)
    if repeated:
        for key, bodies in repeated.items():
            found[key] = b",".join(bodies)
    return found


def thread_fields(header: bytes) -> dict[bytes, bytes]:
    """:func:`first_fields`, of which only those that link a message to others are wanted."""
    if len(header) > _OCTETS_MAX:
        return first_fields(header)
    found: dict[bytes, bytes] = {}
    for name, raw in _find_thread_fields(b"\n" + header):
        found.setdefault(name.lower(), (unfold(raw) if _LF in raw else raw).strip())
    return found


class _Room:
    """The octets of each field that may still be taken."""

    def __init__(self, octets_max: int) -> None:
        self._octets_max = octets_max
        self._left: dict[bytes, int] = {}

    def take(self, key: bytes, raw: bytes) -> tuple[bytes, bool] | None:
        """The octets to take of the next field of that name, and whether it was cut; None if there are none."""
        room = self._left.get(key, self._octets_max)
        if room < -1 or (key in self._left and key not in _ADDRESS_FIELDS):
            return None
        is_cut = len(raw) > room
        # With the comma that joins it to the next one.
        self._left[key] = -2 if is_cut else room - len(raw) - 1
        return raw[: max(room, 0)], is_cut


def _first_fields_cut(header: bytes, octets_max: int) -> dict[bytes, bytes]:
    bodies: dict[bytes, list[bytes]] = {}
    room = _Room(octets_max)
    for name, raw in _find_fields(b"\n" + header):
        key = name.lower()
        taken = room.take(key, raw)
        if taken is not None:
            body = unfold(taken[0]).strip()
            bodies.setdefault(key, []).append(_cut(key, body) if taken[1] else body)
    return {key: b",".join(found) for key, found in bodies.items()}


def _cut(key: bytes, body: bytes) -> bytes:
    if key in _ADDRESS_FIELDS:
        return cut_list(body, len(body))
    # A field with a grammar of its own could not be parsed with a mark.
    return body + CUT_MARK.removesuffix(b":;") if key in _TEXT_FIELDS else body


def compact(header: bytes, octets_max: int) -> bytes:
    """An incomplete header without the octets that :func:`first_fields` would drop: its result for both is the same,
    whatever comes next. A few times ``octets_max`` octets of each field are left at most."""
    start = whole_fields(header)
    kept: list[bytes] = []
    room = _Room(octets_max)

    def keep(key: bytes, raw: bytes) -> bool:
        taken = room.take(key, raw)
        if taken is not None:
            # The space stands for all that is cut off, and continues a fold that was cut in two.
            kept.append(b"%b:%b%b" % (key, taken[0], b" " if taken[1] else b""))
        return taken is not None

    for name, raw in _find_fields(b"\n" + header[:start]):
        if keep(name.lower(), raw):
            kept.append(b"\n")
    last = header[start:]
    name_of_last = _last_field(last)
    if name_of_last is None:
        kept.append(last if len(last) < _NAME_MAX and b":" not in last else _OTHER)
    elif name_of_last[2] is None:
        # White space that may or may not be followed by a colon.
        kept.append(name_of_last[1] + last[name_of_last.end(1) :][:1])
    elif not keep(name_of_last[1].lower(), last[name_of_last.end() :].removesuffix(b"\n")):
        kept.append(_OTHER)
    if last.endswith(b"\n") and not kept[-1].endswith(b"\n"):
        kept.append(b"\n")
    return b"".join(kept)
