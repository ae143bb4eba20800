"""Private keys in the store."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import AlreadyExists, NoSuchEntry
from pymailsuite.interfaces.keys import StoredKey
from tests.support.stores import fired, make_store

KEY = StoredKey("example.org", "s1", b"secret", 1.0)


class KeyStoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.keys = make_store().keys

    def test_a_key_comes_back_as_it_was(self) -> None:
        other = StoredKey("example.com", "s1", b"\x00\xff", 2.0, 3.0, 4.0)
        fired(self.keys.add(KEY))
        fired(self.keys.add(other))
        self.assertEqual(fired(self.keys.keys()), [other, KEY])
        self.assertEqual(fired(self.keys.keys(["example.org", "example.net"])), [KEY])

    def test_a_selector_is_taken_once(self) -> None:
        fired(self.keys.add(KEY))
        self.assertRaises(AlreadyExists, fired, self.keys.add(KEY))

    def test_activation_ends_the_others_named(self) -> None:
        fired(self.keys.add(KEY))
        fired(self.keys.add(StoredKey("example.org", "s2", b"", 1.0, 5.0)))
        fired(self.keys.add(StoredKey("example.org", "s3", b"", 1.0, 5.0)))
        self.assertEqual(fired(self.keys.activate("example.org", "s1", ["s2"], 10.0)).active_from, 10.0)
        periods = [(key.selector, key.active_from, key.active_until) for key in fired(self.keys.keys())]
        self.assertEqual(periods, [("s1", 10.0, None), ("s2", 5.0, 10.0), ("s3", 5.0, None)])

    def test_what_is_not_there_is_said(self) -> None:
        for asked in (
            self.keys.activate("example.org", "s1", [], 1.0),
            self.keys.set_period("example.org", "s1", 1.0, None),
            self.keys.remove("example.org", "s1"),
        ):
            self.assertRaises(NoSuchEntry, fired, asked)

    def test_a_removed_key_is_gone(self) -> None:
        fired(self.keys.add(KEY))
        fired(self.keys.set_period("example.org", "s1", 1.0, 2.0))
        fired(self.keys.remove("example.org", "s1"))
        self.assertEqual(fired(self.keys.keys()), [])

    def test_no_key_is_shown(self) -> None:
        self.assertNotIn("secret", repr(KEY))
