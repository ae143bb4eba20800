"""Transfer encodings undone: by the rules of RFC 2045, and the same in any cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailsuite.message.text import decode_text
from pymailsuite.message.transfer import IDENTITY, decode_transfer, transfer_decoder
from tests.acceptance import acceptance

KNOWN = ["base64", "quoted-printable", "uuencode", "x-uuencode", "x-uue", "7bit", "8bit", "binary", ""]
PIECES = [
    *(b"=", b"==", b"=4", b"=41", b"=4a", b"4", b"1", b"=\r\n", b"=\n", b"= \r\n", b"=\t \n", b"=\r"),
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b" \r\n", b"text", b"\xff", b"\0", b" " * 5000, b"x" * 9000, b"=41" * 7000),
    *(b"QUJD", b"Q", b"QQ==", b"_____", b"YWJj\r\n"),
    *(
        b"begin 644 f\r\n",
        b"begin 644 f\n",
        b"begin the\n",
        b"#0V%T\r\n",
        b"#86)C\n",
        b"`\n",
        b" \n",
        b"end\r\n",
        b"M0\n",
    ),
]
ENCODED = st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=25).map(b"".join)


def decoded_in(octets: bytes, encoding: str, cuts: list[int]) -> bytes:
    decoder = transfer_decoder(encoding)
    assert decoder is not None
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    return b"".join([decoder.feed(octets[start:stop]) for start, stop in pairwise(edges)]) + decoder.finish()


@settings(max_examples=400, deadline=None)
@given(
    ENCODED,
    st.lists(st.integers(0, 80) | st.integers(0, 30_000), max_size=12),
    st.sampled_from(KNOWN),
    st.sampled_from([b"", b"begin 600 x\n"]),
)
@acceptance("S111")
def test_pieces_of_any_cut_decode_as_the_whole(octets: bytes, cuts: list[int], encoding: str, start: bytes) -> None:
    octets = start + octets
    whole = decode_transfer(octets, encoding)
    assert decoded_in(octets, encoding, cuts) == whole
    if len(octets) < 2000:
        assert decoded_in(octets, encoding, list(range(len(octets)))) == whole


@pytest.mark.parametrize(
    ("coded", "expected"),
    [
        # RFC 2045 §6.7, rule 3: white space at the end of a line is not content
        (b"one  \r\ntwo\t \r\nthree \t", b"one\r\ntwo\r\nthree"),
        (b"one  \ntwo", b"one\ntwo"),
        (b"kept=20 \r\nin  side", b"kept \r\nin  side"),
        # rule 5: nor is what stands behind the sign of a soft line break
        (b"soft=\r\nbreak", b"softbreak"),
        (b"soft= \t\r\nbreak", b"softbreak"),
        (b"soft=\nbreak= \nagain", b"softbreakagain"),
        (b"at the end=", b"at the end"),
        (b"at the end= ", b"at the end"),
        # what is no escape stands as it is
        (b"a=b==41=4", b"a=b=A=4"),
        (b"=\rx\r\ny", b"=\rx\r\ny"),
        (b"=4G =g4", b"=4G =g4"),
        (b"=e4=C3=bc", b"\xe4\xc3\xbc"),
        (b"=00", b"\0"),
        (b"", b""),
    ],
)
def test_quoted_printable(coded: bytes, expected: bytes) -> None:
    assert decode_transfer(coded, "quoted-printable") == expected


def test_white_space_without_end_is_content() -> None:
    assert decode_transfer(b"x" + b" " * 4096 + b"\n", "quoted-printable") == b"x\n"
    assert decode_transfer(b"x" + b" " * 4097 + b"\n", "quoted-printable") == b"x" + b" " * 4097 + b"\n"


@pytest.mark.parametrize(
    ("coded", "expected"),
    [
        (b"YW\r\nJj", b"abc"),
        (b"YWI", b"ab"),
        (b"*YQ=!", b"a"),
        (b" Y W\tJ-j ", b"abc"),
        (b"Y", b""),
        # RFC 2045 §6.8: the padding is the end of the data
        (b"SGVsbG8=\r\n\r\n_____\r\nlist footer text\r\n", b"Hello"),
        (b"SGVsbG8=SGVsbG8=", b"Hello"),
        (b"YQ==\r\nYQ==", b"a"),
        (b"=YQ==", b""),
        (b"", b""),
    ],
)
def test_base64(coded: bytes, expected: bytes) -> None:
    assert decode_transfer(coded, "base64") == expected


def test_an_encoded_word_ends_at_its_padding_too() -> None:
    assert decode_text(b"=?utf-8?b?SGVsbG8=xxxx?=") == "Hello"


@pytest.mark.parametrize(
    ("coded", "expected"),
    [
        (b"text\nbegin 644 cat.txt\n#0V%T\n#0V%TXX\n`\nend\nmore\n", b"CatCat"),
        (b"begin 644 f\r\n#86)C\r\n`\r\nend\r\n", b"abc"),
        (b"begin the day\nbegin 0644 f\n#86)C", b"abc"),
        (b"begin 644 f\n#86)C" + b"!" * 1000 + b"\n#86)C\n", b"abcabc"),
        (b"begin 644 f\n#86)C\n#\xff\xff\xff\xff\n#86)C\n", b"abc"),
        (b"no beginning\n#86)C\n", b""),
    ],
)
@acceptance("S052")
def test_uuencode(coded: bytes, expected: bytes) -> None:
    assert decode_transfer(coded, "x-uuencode") == expected


def test_what_is_not_encoded_stands_as_it_is() -> None:
    for encoding in IDENTITY:
        assert decode_transfer(b"a=41 \n\0", encoding) == b"a=41 \n\0"


@pytest.mark.parametrize("encoding", ["x-none", "base-64", "8 bit"])
def test_other_encodings_are_not_known(encoding: str) -> None:
    assert transfer_decoder(encoding) is None
    assert decode_transfer(b"a", encoding) is None


@pytest.mark.parametrize("piece", [b"=41", b"=", b" ", b"\t", b"= ", b"\r", b"QUJD", b"-", b"#86)C"])
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "uuencode"])
@acceptance("S112")
def test_a_line_without_end_is_not_held(encoding: str, piece: bytes) -> None:
    decoder = transfer_decoder(encoding)
    assert decoder is not None
    decoder.feed(b"begin 644 f\n" if encoding == "uuencode" else b"")
    for _ in range(40):
        decoder.feed(piece * 4001)
    assert len(decoder.finish()) < 20_000
