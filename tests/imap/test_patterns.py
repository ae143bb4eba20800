"""Patterns of LIST."""

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap.patterns import Patterns


class PatternTests(SynchronousTestCase):
    """RFC 3501 §6.3.8."""

    def test_percent_stops_at_the_delimiter(self) -> None:
        self.assertTrue(Patterns("", ["%"])("work"))
        self.assertFalse(Patterns("", ["%"])("work/done"))
        self.assertTrue(Patterns("", ["%/%"])("work/done"))
        self.assertFalse(Patterns("", ["%/%"])("work/done/now"))

    def test_star_does_not(self) -> None:
        self.assertTrue(Patterns("", ["*"])("work/done"))
        self.assertTrue(Patterns("", ["w*e"])("work/done"))

    def test_a_star_among_percents_is_a_star(self) -> None:
        self.assertTrue(Patterns("", ["%*%"])("work/done/now"))

    def test_the_reference_is_put_in_front(self) -> None:
        self.assertTrue(Patterns("work/", ["%"])("work/done"))
        self.assertFalse(Patterns("work/", ["%"])("done"))

    def test_inbox_is_matched_in_any_case(self) -> None:
        for pattern in ("inbox", "INB%", "i*X", "*"):
            self.assertTrue(Patterns("", [pattern])("INBOX"), pattern)
        self.assertFalse(Patterns("", ["WORK"])("work"))

    def test_what_is_below_inbox_is_matched_in_any_case_of_it(self) -> None:
        for pattern in ("inbox*", "Inbox/%", "inbox/Sub", "iNBOX/S*"):
            self.assertTrue(Patterns("", [pattern])("INBOX/Sub"), pattern)
        self.assertTrue(Patterns("inbox/", ["%"])("INBOX/Sub"))
        self.assertFalse(Patterns("", ["inbox/sub"])("INBOX/Sub"))
        self.assertTrue(Patterns("", ["inbox*"])("inboxes"))
        self.assertTrue(Patterns("", ["inboxe%"])("inboxes"))

    def test_any_of_several(self) -> None:
        self.assertTrue(Patterns("", ["a", "b%"])("bc"))

    @given(st.text("ab/%*", max_size=12), st.text("ab/", max_size=12))
    def test_like_a_regular_expression(self, pattern: str, name: str) -> None:
        expression = "".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
        self.assertEqual(Patterns("", [pattern])(name), re.fullmatch(expression, name) is not None)

    def test_many_wildcards_take_no_time(self) -> None:
        # A regular expression would try some 10**20 ways here.
        self.assertFalse(Patterns("", ["%a" * 30 + "b"])("a" * 200))
        self.assertFalse(Patterns("", ["*a%a" * 15 + "b"])("a/" * 100))
