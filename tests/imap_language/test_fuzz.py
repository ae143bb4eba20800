"""Mutations of valid lines: whatever comes, the grammar answers or says that the peer is wrong."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pymailsuite.errors import PeerError
from pymailsuite.imap import values as v
from pymailsuite.imap.grammar import command_name, parse_tag
from tests.imap_language.test_grammar import APPENDS, COMMANDS, FETCHES, SEARCHES, pieces
from tests.support.imap import parse, parse_offered

SEEDS: list[list[bytes]] = [
    *(pieces(line) for line, _ in COMMANDS),
    *(line for line, _ in APPENDS),
    *([b"a UID FETCH 1:* " + pieces(line)[0], *pieces(line)[1:]] for line, _ in FETCHES),
    *([b"a SEARCH " + pieces(line)[0], *pieces(line)[1:]] for line, _ in SEARCHES),
]

FRAGMENTS = st.sampled_from(
    [b"", b" ", b"(", b")", b'"', b"\\", b"*", b"%", b"&", b"-", b"[", b"]", b"<", b">", b".", b",", b":", b"{", b"}"]
    + [b"\0", b"\r\n", b"\xff", "é".encode(), b"0", b"4294967296", b"NIL", b"NOT ", b"OR ", b"UID ", b"CHARSET "]
)


@st.composite
def mutated(draw: st.DrawFn) -> list[bytes]:
    line = list(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(line) - 1))
        octets = line[place]
        start = draw(st.integers(0, len(octets)))
        stop = draw(st.integers(start, min(len(octets), start + 4)))
        action = draw(st.sampled_from(["replace", "repeat", "cut", "literal"]))
        if action == "replace":
            line[place] = octets[:start] + draw(FRAGMENTS) + octets[stop:]
        elif action == "repeat":
            line[place] = octets[:stop] + octets[start:stop] * 3 + octets[stop:]
        elif action == "cut":
            line[place] = octets[:start]
        else:
            line[place : place + 1] = [octets[:start], draw(FRAGMENTS), octets[stop:]]
    return line


@given(mutated())
@settings(max_examples=2000, deadline=None)
def test_a_mutated_command_never_raises_anything_but_the_peers_error(line: list[bytes]) -> None:
    parse_tag(line[0])
    command_name(line[0])
    for reader in (parse, parse_offered):
        try:
            command = reader(line)
        except (PeerError, v.UnknownCharset, v.UnsupportedUse):
            continue
        assert isinstance(command, v.Command)
        assert command.tag == parse_tag(line[0])


@given(st.binary())
def test_any_octets_after_a_tag_are_a_command_or_the_peers_error(octets: bytes) -> None:
    for line in (octets, b"a " + octets, b"a SEARCH " + octets, b"a UID FETCH 1 " + octets, b'a LIST "" ' + octets):
        try:
            parse([line])
        except (PeerError, v.UnknownCharset, v.UnsupportedUse):
            pass


RANGES = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)) | st.integers(0, 2**32 - 1), min_size=1
)


@given(RANGES, st.integers(1, 2**32 - 1), st.booleans())
def test_sequence_sets_come_back_and_resolve_to_what_they_say(
    ranges: list[tuple[int, int] | int], largest: int, uid: bool
) -> None:
    def text(number: int) -> str:
        return str(number) if number else "*"

    line = ",".join(text(r) if isinstance(r, int) else f"{text(r[0])}:{text(r[1])}" for r in ranges)
    command = parse([f"a {'UID ' if uid else ''}COPY {line} x".encode()])
    assert isinstance(command, v.Copy)
    pairs = [(r, r) if isinstance(r, int) else r for r in ranges]
    assert command.numbers == v.SequenceSet(tuple(pairs), uid)
    resolved = command.numbers.resolve(largest)
    for first, last in pairs:
        low, high = sorted((first or largest, last or largest))
        assert low in resolved and high in resolved and (low + high) // 2 in resolved
    assert all(
        any(low <= end <= high for low, high in (sorted((a or largest, b or largest)) for a, b in pairs))
        for span in resolved.ranges
        for end in span
    )


@given(st.binary(max_size=50).filter(lambda octets: not set(octets) & {0, 10, 13}))
def test_a_quoted_string_comes_back(octets: bytes) -> None:
    quoted = b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    command = parse([b"a LOGIN x " + quoted])
    assert isinstance(command, v.Login) and command.password == octets
