"""What we send on cannot be cut by a host in another way than by us."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pymailsuite.wire.dot_stuffing import BareLineEnd, DotEncoder
from tests.acceptance import acceptance

_PIECES = st.lists(
    st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"\r.\r\n", b"\n.\n", b"\r.\r", b"x", b"\r\n.\r\n"]),
    max_size=12,
)
_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")


@acceptance("S047", "S048")
@given(_PIECES)
@settings(max_examples=300, deadline=None)
def test_no_host_sees_an_end_before_the_end_whatever_it_takes_for_a_line(pieces: list[bytes]) -> None:
    encoder = DotEncoder(refuse_bare=True)
    sent = b""
    try:
        for piece in pieces:
            sent += encoder.encode(piece)
        sent += encoder.finish()
        refused = False
    except BareLineEnd:
        refused = True
    for ends in (re.compile(rb"\r\n"), re.compile(rb"\n"), re.compile(rb"\r?\n"), _ANY_LINE_END):
        lines = ends.split(sent)
        # Of a text that was refused no end has been sent, by anybody's reading.
        assert [line.strip(b"\r") for line in lines].count(b".") == (0 if refused else 1), ends
    assert refused or sent.endswith(b"\r\n.\r\n") or sent == b".\r\n"
