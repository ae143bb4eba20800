"""Rights and identifiers as values: letters of both RFCs, what clients are shown, who is meant."""

from __future__ import annotations

import itertools
import random

import pytest

from pymailsuite.interfaces.rights import ALL_RIGHTS, CHANGING, NO_RIGHTS, Right, Rights
from pymailsuite.interfaces.sharing import ANYONE, OWNER, Identifier, IdentifierKind

LETTERS = "lrswipkxtea"


class TestLetters:
    @pytest.mark.parametrize(
        ("letters", "shown"),
        [
            ("", ""),
            ("lrs", "lrs"),
            ("srl", "lrs"),
            ("llr", "lr"),
            (LETTERS, "lrswipkxteacd"),
            # RFC 4314 §2.1.1: one of the rights that an obsolete one stands for is enough for it to be shown.
            ("k", "kc"),
            ("x", "xc"),
            ("t", "td"),
            ("e", "ed"),
            ("c", "kxc"),
            ("d", "ted"),
            ("cd", "kxtecd"),
        ],
    )
    def test_shown(self, letters: str, shown: str) -> None:
        assert Rights.parse(letters).with_obsolete == shown

    def test_what_is_shown_is_read_again_as_no_less(self) -> None:
        for length in range(len(LETTERS) + 1):
            for letters in itertools.combinations(LETTERS, length):
                rights = Rights.parse("".join(letters))
                assert str(rights) == "".join(letters)
                assert rights <= Rights.parse(rights.with_obsolete)

    @pytest.mark.parametrize("letters", ["L", "lz", "n", "0", " l", "é"])
    def test_no_right(self, letters: str) -> None:
        with pytest.raises(ValueError, match="not a right"):
            Rights.parse(letters)

    def test_letters_of_the_old_rfc(self) -> None:
        assert ALL_RIGHTS.rfc2086 == "acdilrsw"
        assert Rights.parse("lrp").rfc2086 == "lr"

    def test_who_opens_read_write(self) -> None:
        assert not CHANGING & Rights.parse("lrpkxa")
        assert all(CHANGING & Rights.parse(letter) for letter in "swite")


def test_sets_of_rights_are_sets() -> None:
    chance = random.Random(4314)
    for _ in range(200):
        one, other = (frozenset(chance.sample(list(Right), chance.randrange(12))) for _ in range(2))
        assert (Rights(one) | Rights(other)).rights == one | other
        assert (Rights(one) & Rights(other)).rights == one & other
        assert (Rights(one) - Rights(other)).rights == one - other
        assert (Rights(one) <= Rights(other)) is (one <= other)
        assert set(Rights(one)) == one
        assert all((right in Rights(one)) is (right in one) for right in Right)
    assert not NO_RIGHTS
    assert set(ALL_RIGHTS) == set(Right)


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("text", "identifier", "shown"),
        [
            ("owner", OWNER, "owner"),
            ("anyone", ANYONE, "anyone"),
            ("Bob@Example.org", Identifier(IdentifierKind.USER, "bob@example.org"), "bob@example.org"),
            ("user=bob@example.org", Identifier(IdentifierKind.USER, "bob@example.org"), "bob@example.org"),
            ("group=Sales", Identifier(IdentifierKind.GROUP, "sales"), "group=sales"),
        ],
    )
    def test_forms(self, text: str, identifier: Identifier, shown: str) -> None:
        assert Identifier.parse(text) == identifier
        assert str(identifier) == shown

    @pytest.mark.parametrize("text", ["", "group=", "user="])
    def test_nobody(self, text: str) -> None:
        with pytest.raises(ValueError, match="without a name"):
            Identifier.parse(text)
