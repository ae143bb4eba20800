"""Modified UTF-7 mailbox names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailsuite.imap import mutf7

NAMES = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("", b""),
        ("INBOX", b"INBOX"),
        ("R&D", b"R&-D"),
        ("&", b"&-"),
        ("&&", b"&-&-"),
        # RFC 3501 §5.1.3
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("☺!", b"&Jjo-!"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("😀", b"&2D3eAA-"),
        ("é&é", b"&AOk-&-&AOk-"),
    ],
)
def test_known_names_have_their_wire_form(name: str, octets: bytes) -> None:
    assert mutf7.encode(name) == octets
    assert mutf7.decode(octets) == name


@given(NAMES)
def test_any_name_comes_back(name: str) -> None:
    octets = mutf7.encode(name)
    assert octets.isascii() and octets.decode("ascii").isprintable()
    assert mutf7.decode(octets) == name


@pytest.mark.parametrize(
    "octets",
    [
        b"&",
        b"a&b",
        b"&AOk",  # no end of the shift
        b"&AOk/",
        b"&AA-",  # half a UTF-16 unit
        b"&A-",
        b"&2D0-",  # a lone surrogate
        b"&AGEAYg-",  # printing ASCII in BASE64
        b"a\x00b",
        b"a\tb",
        b"\xc3\xa9",
        b"&AOk=-",
    ],
)
def test_what_the_rfc_forbids_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError):
        mutf7.decode(octets)


@given(st.binary())
def test_any_octets_decode_or_are_refused(octets: bytes) -> None:
    try:
        name = mutf7.decode(octets)
    except ValueError:
        return
    assert mutf7.decode(mutf7.encode(name)) == name
