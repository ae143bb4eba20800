"""The subject of a message for comparison: decoded and case-folded, and its base without the additions of replies.

Source: RFC 5256 §2.1; what "the same" means: RFC 5255 §4.4, as in ``message.search``.
"""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.message.search import fold_text
from pymailsuite.message.text import decode_text, storable

BASE_MAX: Final = 1000
"""The greatest number of characters of a subject; a longer one is cut before its base is determined."""

# subj-leader and subj-blob of RFC 5256 §5, repeated, in folded text.
_leaders = re.compile(
    r"(?: \[[^\[\]]*+\] \s*+ | (?: re | fwd? ) \s*+ (?: \[[^\[\]]*+\] \s*+ )?+ : | \s )*+", re.VERBOSE
).match
_blobs = re.compile(r"(?: \[[^\[\]]*+\] \s*+ | \s )*+", re.VERBOSE).match
_FORWARD_BEGIN: Final = "[fwd:"
_FORWARD_END: Final = "]"
_TRAILER: Final = "(fwd)"
_MARKED: Final = ("[", "r", "f")
"""The beginnings of subjects that may have a leader to remove."""


def folded_subject(body: bytes) -> str:
    """The body of a Subject field as text that can be compared: decoded, white space made one space, case folded."""
    # Not with ``in``, which would cost more than all else here.
    if body.isascii() and body.find(b"=?") < 0:
        text = body.decode("ascii").lower()
        if "  " not in text and text.isprintable():
            return text.strip()
    return storable(" ".join(fold_text(decode_text(body)).split()))


def base_subject(folded: str) -> str:
    """The base of a :func:`folded_subject`: without marks of replies and forwards, and names of lists in brackets."""
    text = folded[:BASE_MAX]
    if not text.startswith(_MARKED) and not text.endswith((_TRAILER, " ")):
        return text
    while True:
        text = _without_trailers(text)
        text = _without_leaders(text)
        if not (text.startswith(_FORWARD_BEGIN) and text.endswith(_FORWARD_END)):
            return text
        text = text[len(_FORWARD_BEGIN) : -len(_FORWARD_END)]


def is_reply(folded: str, base: str) -> bool:
    """Whether a subject says that it is one of a reply or a forward: something else than names in brackets and white
    space is taken off to find its base. Source: RFC 5256 §3, step 5 of REFERENCES."""
    text = folded[:BASE_MAX].strip()
    if text == base:
        return False
    blobs = _blobs(text)
    # As for a base, the last name in brackets stays where nothing else is said.
    rest = text[blobs.end() :] if blobs else text
    return (rest or text[text.rindex("[") :]) != base


def _without_trailers(text: str) -> str:
    text = text.rstrip()
    while text.endswith(_TRAILER):
        text = text[: -len(_TRAILER)].rstrip()
    return text


def _without_leaders(text: str) -> str:
    match = _leaders(text)
    rest = text[match.end() :] if match else text
    # A blob is removed only where that leaves some text.
    return rest if rest or not text.endswith("]") else text[text.rindex("[") :]
