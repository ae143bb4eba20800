"""What ties messages together. Source: RFC 8621 §3."""

from __future__ import annotations

from pymailsuite.message.thread_links import LINKS_MAX, decode_links, thread_links
from tests.support.linear import assert_linear


def links(
    message_id: bytes | None = None,
    references: bytes | None = None,
    in_reply_to: bytes | None = None,
    base: str = "tea",
    otherwise: bytes = b"",
) -> tuple[int, list[int]]:
    own, others = thread_links(base, message_id, in_reply_to, references, otherwise)
    return own, decode_links(others)


A, B, C = (links(b"<%b@example.org>" % name)[0] for name in (b"a", b"b", b"c"))


def test_a_message_is_known_by_its_identifier_and_its_base_subject() -> None:
    assert links(b"<a@example.org>") == (A, [])
    assert links(b" (comment) <a@example.org> ")[0] == A
    assert links(b"<a@example.org>", base="coffee")[0] != A
    assert links(b"<a@example.org>", base="te a")[0] == A, "white space does not count"
    assert len({A, B, C}) == 3


def test_links_are_numbers_of_64_bits_with_a_sign() -> None:
    assert all(-(1 << 63) <= link < 1 << 63 for link in (A, B, C))


def test_references_and_in_reply_to_are_links_each_once() -> None:
    assert links(b"<c@example.org>", b"<a@example.org>\t<b@example.org>", b"<b@example.org>") == (C, [A, B])
    assert links(b"<c@example.org>", None, b"<a@example.org> (your mail), <b@example.org>") == (C, [A, B])
    assert links(b"<c@example.org>", b"<c@example.org> <a@example.org>") == (C, [A]), "its own is none"
    assert links(b"<c@example.org>", b"Your message of Monday", b"\xff\x00") == (C, [])


def test_without_an_identifier_it_is_known_otherwise() -> None:
    assert links(None, otherwise=b"x")[0] == links(b"", otherwise=b"x")[0] != links(None, otherwise=b"y")[0]
    assert links(b"no brackets")[0] == links(b"no brackets", otherwise=b"z")[0]


def test_of_many_references_the_first_and_the_last_count() -> None:
    names = [b"<%d@example.org>" % number for number in range(200)]
    expected = [links(name)[0] for name in (names[0], *names[1 - LINKS_MAX :])]
    assert links(b"<c@example.org>", b" ".join(names))[1] == expected


def test_hostile_fields_take_time_that_grows_with_their_octets() -> None:
    for piece in (b"<", b"<a@b>", b"<a", b">", b" ", b"<a\x00>"):
        assert_linear(lambda body: links(body, body, body), lambda n, piece=piece: piece * n)
