"""The reader of SEARCH keys, including those of extensions."""

from __future__ import annotations

from collections.abc import Callable

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import AllOf, InNumbers, SearchProgram


class KeyReader:
    """Reads search keys, counting them and their nesting.

    ``cursor`` stands behind the name of a key, and behind the space after it, when the key's own parser is called.
    """

    def __init__(self, cursor: Cursor, decode: Callable[[bytes], str]) -> None:
        self.cursor = cursor
        self._decode = decode
        self._keys = cursor.words.search_keys
        self._left = cursor.limits.search_keys
        self._depth = -1

    def key(self) -> SearchProgram:
        """search-key, within the one that is being read."""
        self._depth += 1
        if self._depth > self.cursor.limits.search_depth:
            raise PeerError("Search keys too deep")
        program = self._key()
        self._depth -= 1
        return program

    def text(self) -> str:
        """astring, decoded by the charset of the search."""
        return self._decode(self.cursor.astring())

    def _key(self) -> SearchProgram:
        cursor = self.cursor
        self._left -= 1
        if self._left < 0:
            raise PeerError("Too many search keys")
        if cursor.try_take(b"("):
            return self._parenthesis()
        numbers = cursor.try_sequence_set(uid=False)
        if numbers is not None:
            return InNumbers(numbers)
        key = self._keys.get(cursor.word("a search key"))
        if key is None:
            # An unknown key may have an argument: the reply names the first error that the client can correct.
            cursor.space()
            raise PeerError("Unknown search key")
        if key.parse is None:
            program: SearchProgram = key.bare
            return program
        cursor.space()
        program = key.parse(self)
        return program

    def _parenthesis(self) -> SearchProgram:
        # "(" search-key *(SP search-key) ")"
        self.cursor.skip_spaces()
        keys = [self.key()]
        while not self.cursor.try_close():
            keys.append(self.key())
        return keys[0] if len(keys) == 1 else AllOf(tuple(keys))
