"""Subjects as they are compared, and their bases. Source: RFC 5256 §2.1 and §5."""

from __future__ import annotations

import pytest

from pymailsuite.message.base_subject import BASE_MAX, base_subject, folded_subject, is_reply
from tests.support.linear import assert_linear

BASES = (
    (b"", ""),
    (b"Meeting", "meeting"),
    (b"  Meeting  on\tMonday ", "meeting on monday"),
    (b"Re: Meeting", "meeting"),
    (b"RE:Meeting", "meeting"),
    (b"re : Meeting", "meeting"),
    (b"Re[2]: Meeting", "meeting"),
    (b"Re [17] : Meeting", "meeting"),
    (b"Fwd: Re: FW: Meeting", "meeting"),
    (b"fw: Meeting", "meeting"),
    (b"Re: Re: Re: Meeting", "meeting"),
    (b"[list] Meeting", "meeting"),
    (b"[list] Re: Meeting", "meeting"),
    (b"Re: [list] Re: Meeting", "meeting"),
    (b"[one] [two] Meeting", "meeting"),
    (b"Re: [a][b] fwd [c] : Meeting", "meeting"),
    # A blob is not taken off if nothing would be left.
    (b"[list]", "[list]"),
    (b"Re: [list]", "[list]"),
    (b"[one] [two]", "[two]"),
    (b"[one] Re:", ""),
    (b"Re:", ""),
    (b"Meeting (fwd)", "meeting"),
    (b"Meeting (Fwd) (FWD) ", "meeting"),
    (b"Re: Meeting(fwd)", "meeting"),
    (b"[Fwd: Meeting]", "meeting"),
    (b"[Fwd: [Fwd: Re: Meeting]]", "meeting"),
    (b"Re: [fwd: [list] Meeting (fwd)]", "meeting"),
    (b"[Fwd: Meeting] today", "today"),
    (b"[Fwd: [a] b] c", "[fwd: [a] b] c"),
    # Words that only begin so.
    (b"Reply: Meeting", "reply: meeting"),
    (b"Forward: Meeting", "forward: meeting"),
    (b"Refund [1]", "refund [1]"),
    (b"[not closed Meeting", "[not closed meeting"),
    (b"Meeting [2]", "meeting [2]"),
    (b"Re: =?utf-8?q?[list]_Stra=C3=9Fe?=", "strasse"),
    (b"=?iso-8859-1?q?Re:_Caf=E9?= =?iso-8859-1?q?_am_Markt?=", "caf\u00e9 am markt"),
    ("Re: Größe".encode(), "grösse"),
    (b"=?utf-7?q?+2AA-x?= \x00y", "x y"),
    (b"Re:\r\n a\r\n\tfold", "a fold"),
)


@pytest.mark.parametrize(("body", "base"), BASES)
def test_the_base_is_what_replies_and_lists_add_nothing_to(body: bytes, base: str) -> None:
    assert base_subject(folded_subject(body)) == base


@pytest.mark.parametrize("body", [body for body, _ in BASES])
def test_a_base_has_no_other_base_and_is_kept_by_a_reply(body: bytes) -> None:
    base = base_subject(folded_subject(body))
    if not base.endswith("]") and not base.startswith("["):
        assert base_subject(base) == base
        assert base_subject(folded_subject(b"Re: " + body)) == base


def test_plain_and_encoded_text_is_folded_alike() -> None:
    for text in ("Meeting", "Room 5 (fwd)", "A  B", "", " x "):
        encoded = b"=?utf-8?q?%b?=" % text.replace(" ", "_").encode()
        assert folded_subject(text.encode()) == folded_subject(encoded)


def test_hostile_subjects_take_time_that_grows_with_their_octets() -> None:
    shapes = {
        "marks": lambda n: b"re: " * n,
        "blobs": lambda n: b"[a]" * n,
        "open blobs": lambda n: b"[" * n,
        "forwards": lambda n: b"[fwd: " * n + b"x" + b"]" * n,
        "trailers": lambda n: b"x" + b" (fwd)" * n,
        "spaces": lambda n: b" \t" * n,
    }
    for make in shapes.values():
        assert_linear(lambda body: base_subject(folded_subject(body)), make)
    assert len(base_subject(folded_subject(b"x" * 65536))) == BASE_MAX


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (b"", False),
        (b"Meeting", False),
        (b"  Meeting ", False),
        (b"[list]  Meeting", False),
        (b"[list]", False),
        (b"[one] [two]", False),
        (b"Re: Meeting", True),
        (b"[list] Re: Meeting", True),
        (b"Re: [list] Meeting", True),
        (b"Re: [list]", True),
        (b"Re:", True),
        (b"[list] Fwd:", True),
        (b"FW[2]: Meeting", True),
        (b"Meeting (fwd)", True),
        (b"[Fwd: Meeting]", True),
        (b"Reading", False),
        (b"[" * BASE_MAX, False),
    ],
)
def test_a_reply_or_forward_is_told_by_its_subject(subject: bytes, expected: bool) -> None:
    folded = folded_subject(subject)
    assert is_reply(folded, base_subject(folded)) is expected
