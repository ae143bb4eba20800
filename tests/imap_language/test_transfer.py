"""Transfer encodings undone in pieces: the same octets as undone at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailsuite.imap.fetch.transfer import transfer_decoder
from pymailsuite.imap.values import UnknownEncoding
from pymailsuite.message.transfer import decode_transfer
from pymailsuite.values import MAX_CHUNK

ENCODED = st.lists(
    st.sampled_from(
        [b"=", b"==", b"\r\n", b"\n", b"\r", b"=\r\n", b"=\n", b"=4", b"=41", b"1", b"QUJD", b"A", b" ", b"\xff"]
    )
    | st.binary(max_size=5)
).map(b"".join)


@given(ENCODED, st.lists(st.integers(0, 60)), st.sampled_from(["base64", "quoted-printable"]))
def test_pieces_of_any_cut_decode_as_the_whole(octets: bytes, cuts: list[int], encoding: str) -> None:
    decoder = transfer_decoder(encoding)
    places = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    pieces = [decoder.feed(octets[start:stop]) for start, stop in pairwise(places)]
    assert b"".join(pieces) + decoder.finish() == decode_transfer(octets, encoding)


@pytest.mark.parametrize("cut", range(-4, 5))
def test_a_line_longer_than_a_chunk_is_decoded_without_holding_it(cut: int) -> None:
    octets = b"=41" * MAX_CHUNK
    decoder = transfer_decoder("quoted-printable")
    held = 0
    found = b""
    for start in range(0, len(octets), MAX_CHUNK + cut):
        found += decoder.feed(octets[start : start + MAX_CHUNK + cut])
        held = max(held, start + MAX_CHUNK + cut - 3 * len(found))
    assert held <= 2 * MAX_CHUNK
    assert found + decoder.finish() == b"A" * MAX_CHUNK


@pytest.mark.parametrize("encoding", ["7bit", "", "x-uuencode", "x-none"])
def test_other_encodings_are_not_undone_in_pieces(encoding: str) -> None:
    with pytest.raises(UnknownEncoding):
        transfer_decoder(encoding)
