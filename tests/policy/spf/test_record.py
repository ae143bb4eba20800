"""Records as people publish them, right and wrong."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.spf import RecordError, Result, is_spf_record, parse_record
from pymailsuite.policy.spf.record import RECORD_REMEMBERED_MAX, read_record
from tests.acceptance import acceptance

RIGHT = [
    "",
    " ",
    " -all",
    "  A  MX  ?ALL ",
    " a/24 a//64 a/0//0 mx:example.org/24//128",
    " a:%{d}/24 a:foo/bar.example.org/8 exists:%{l1r-}.%{ir}.%{v}._spf.%{d2}",
    " ip4:0.0.0.0/0 ip4:255.255.255.255 ip6:::/0 ip6:2001:db8::1/127 ip6:::ffff:192.0.2.1",
    " ptr ptr:example.org. include:_spf.example.org",
    " redirect=_spf.%{d} exp=explain.%{d}",
    " EXP=%{d} unknown.name-x_1=%{c}%{t}%%%_%- op=",
    " a:x%%.example.org a:example.org%_ exists:%-",
    " a:1.2-3 mx:.org a:%{d}.example.org. a=x",
]

WRONG = [
    " -all.",
    " all:x",
    " all/8",
    " ALL=%x",
    " include",
    " include:",
    " include:example.org/24",
    " exists",
    " exists:",
    " ptr/24",
    " ptr:",
    " a:",
    " a:museum",
    " a:museum.",
    " a:abc.123",
    " a:192.0.2.1",
    " a:example.-com",
    " a:example.com-",
    " a:%{d}com",
    " a:example.com:8080",
    " a:example.com%%-",
    " a/33",
    " a/032",
    " a/",
    " a//129",
    " a//",
    " a/24/64",
    " a:example.org/24/64",
    " mx/24.",
    " ip4",
    " ip4:",
    " ip4:192.0.2",
    " ip4:192.0.2.256",
    " ip4:192.0.2.01",
    " ip4:192.0.2.1:25",
    " ip4:192.0.2.0/33",
    " ip4:192.0.2.0/024",
    " ip4:192.0.2.0//24",
    " ip4:192.0.2.0/",
    " ip6",
    " ip6:",
    " ip6::",
    " ip6:192.0.2.1",
    " ip6::cafe::babe",
    " ip6:2001:db8::/129",
    " ip6:2001:db8::%25eth0",
    " ip6:2001:db8:://64",
    " redirect=",
    " redirect:example.org",
    " redirect=example",
    " redirect=-all",
    " -redirect=example.org",
    " redirect=a.example redirect=b.example",
    " exp=",
    " exp=%{c}.example.org",
    " exp=a.example EXP=b.example",
    " a:%{d0}.example.org",
    " a:%{d00}.example.org",
    " a:%{x}.example.org",
    " a:%{d",
    " a:%{d}%",
    " a:%d.example.org",
    " a:%{dr1}.example.org",
    " a:%{d;}.example.org",
    " a:%{t}",
    " foo=%abc",
    " =x",
    " 1up=x",
    " moo",
    " -",
    " --all",
    " + all",
    "\t-all",
    " a\t-all",
    " a:b\u00e9.example.org",
    " a:b\0.example.org",
    " all\n",
    " ip4:192.0.2.1\n",
    " a:example.org\r",
]


class RecordTests(SynchronousTestCase):
    def test_what_the_grammar_allows_is_read(self) -> None:
        for text in RIGHT:
            parse_record(b"v=spf1" + text.encode("ascii"))

    def test_what_it_does_not_allow_is_an_error_in_one_line(self) -> None:
        for text in WRONG:
            with self.assertRaises(RecordError, msg=text) as raised:
                parse_record(b"v=spf1" + text.encode("utf-8"))
            self.assertTrue(str(raised.exception).isprintable(), text)

    def test_the_terms_are_what_was_written(self) -> None:
        record = parse_record(b"V=SPF1 ip4:192.0.2.77/24 -A:Mail.%{d}/26//64 ~all exp=why.%{D} op=x")
        network, address, rest = record.mechanisms
        self.assertEqual((network.name, network.result, network.network), ("ip4", Result.PASS, 0xC0000200))
        self.assertEqual((address.name, address.result), ("a", Result.FAIL))
        self.assertEqual((address.prefix4, address.prefix6), (26, 64))
        assert address.target is not None
        self.assertEqual(address.target.text, "Mail.%{d}")
        self.assertEqual((rest.name, rest.result, rest.text), ("all", Result.SOFTFAIL, "~all"))
        self.assertEqual(record.unknown, (("op", "x"),))

    @acceptance("S161")
    def test_only_version_spf1_is_a_record(self) -> None:
        for octets in (b"v=spf1", b"V=SPF1 -all", b"v=spf1 \xff"):
            self.assertTrue(is_spf_record(octets), octets)
        for octets in (b"", b"v=spf10", b"v=spf1-all", b"v=spf1\t-all", b" v=spf1", b"spf2.0/pra -all", b"v=spf2"):
            self.assertFalse(is_spf_record(octets), octets)

    def test_what_was_read_once_is_known_broken_or_not(self) -> None:
        for octets in (b"v=spf1 a -all", b"v=spf1 moo"):
            self.assertIs(read_record(octets), read_record(octets))
        self.assertIsInstance(read_record(b"v=spf1 moo"), RecordError)

    def test_records_of_great_length_are_not_remembered(self) -> None:
        octets = b"v=spf1 " + b"a " * RECORD_REMEMBERED_MAX
        self.assertIsNot(read_record(octets), read_record(octets))

    @given(st.binary(max_size=60))
    def test_any_octets_are_read_or_refused(self, octets: bytes) -> None:
        try:
            parse_record(b"v=spf1 " + octets)
        except RecordError as error:
            self.assertTrue(str(error).isprintable())
