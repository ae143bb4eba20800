"""By what messages are sorted. Source: RFC 5256 §3, RFC 5957 §3."""

from __future__ import annotations

import pytest

from pymailsuite.message.sort_keys import KEY_MAX, address_keys
from tests.support.linear import assert_linear


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (b"", ("", "")),
        (b",,;", ("", "")),
        (b"Anna.Berg@Example.org", ("anna.berg", "anna.berg@example.org")),
        (b"Anna Berg <anna@example.org>", ("anna", "anna berg")),
        (b'"Berg,  Anna" <anna@example.org>, other@example.org', ("anna", "berg, anna")),
        (b'" " <anna@example.org>', ("anna", "anna@example.org")),
        (b"anna@example.org (Anna Berg)", ("anna", "anna berg")),
        (b"=?utf-8?q?=C3=84nne?= <a@example.org>", ("a", "\u00e4nne")),
        ("Größe <größe@example.org>".encode(), ("grösse", "grösse")),
        (b"root", ("root", "root")),
        # RFC 5256 §3: the first address, which the name of a group is in ENVELOPE.
        (b"Friends: a@example.org, b@example.org;", ("friends", "friends")),
        (b"undisclosed-recipients:;", ("undisclosed-recipients", "undisclosed-recipients")),
        (b"=?utf-7?q?+2AA-x\x00?= <a@b>", ("a", "x")),
        (b"x" * 500 + b"@example.org", ("x" * KEY_MAX, "x" * KEY_MAX)),
        (b"first@example.org, " * 5000, ("first", "first@example.org")),
    ],
)
def test_keys_are_those_of_the_first_address(body: bytes, keys: tuple[str, str]) -> None:
    assert address_keys(body) == keys


def test_hostile_fields_take_time_that_grows_with_their_octets() -> None:
    for piece in (b"(", b'"', b"<", b"a:", b",", b"a@", b"\\", b"x y "):
        assert_linear(address_keys, lambda n, piece=piece: piece * n)
