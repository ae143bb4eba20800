"""The registered domain above a name."""

from __future__ import annotations

import re
from importlib.resources import files

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from pymailsuite.dns.names import absolute_name, text_of
from pymailsuite.policy.organizational import is_public_suffix, registered_domain


class RegisteredDomainTests(SynchronousTestCase):
    def test_it_is_one_label_more_than_the_public_suffix(self) -> None:
        for name, registered in (
            ("example.com", "example.com"),
            ("a.b.Example.COM.", "example.com"),
            ("mail.example.co.uk", "example.co.uk"),
            ("x.city.kawasaki.jp", "city.kawasaki.jp"),
            ("a.b.c.kobe.jp", "b.c.kobe.jp"),
            ("user.github.io", "user.github.io"),
            ("www.bücher.example", "xn--bcher-kva.example"),
            ("mail.食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"),
            ("mail.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
            ("a.b.not-a-known-suffix", "b.not-a-known-suffix"),
        ):
            self.assertEqual(registered, registered_domain(name), name)

    def test_a_public_suffix_is_its_own(self) -> None:
        for name in ("com", "co.uk", "xn--55qx5d.cn", "localhost"):
            self.assertEqual(name, registered_domain(name))
            self.assertTrue(is_public_suffix(name))
        self.assertFalse(is_public_suffix("example.com"))

    def test_what_is_no_name_has_none(self) -> None:
        for name in ("a..b", "x" * 64 + ".com", "exa mple\u2028.com"):
            self.assertEqual("", registered_domain(name), name)
            self.assertFalse(is_public_suffix(name))


class PublicSuffixSuiteTests(SynchronousTestCase):
    def test_the_suite_of_the_list_agrees(self) -> None:
        """The cases publicsuffix.org publishes with the list, as they come with the library."""
        suite = files("publicsuffixlist") / "test_psl.txt"
        if not suite.is_file():
            raise SkipTest("the library came without the suite")
        cases = re.findall(r"^checkPublicSuffix\('([^']*)', (?:'([^']*)'|null)\);", suite.read_text("utf-8"), re.M)
        self.assertGreater(len(cases), 70)
        for name, expected in cases:
            absolute = absolute_name(expected or name)
            self.assertEqual("" if absolute is None else text_of(absolute), registered_domain(name), name)
            if not name.startswith("."):
                self.assertEqual(not expected, is_public_suffix(name), name)
