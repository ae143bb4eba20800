"""XML of strangers: bounded, mended where its sense is clear, and one clean error otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.untrusted_xml import BadXmlError, RefusedXmlError, is_xml, read_xml
from tests.support.linear import assert_linear


class _Words:
    """Writes down what it hears, up to the element ``last``."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def start(self, name: str) -> None:
        self.heard.append(f"<{name}")

    def end(self, name: str) -> bool:
        self.heard.append(f"{name}>")
        return name == "last"

    def text(self, text: str) -> None:
        self.heard.append(text)


def heard(octets: bytes, elements_max: int = 1_000, depth_max: int = 10) -> str:
    return " ".join(read_xml(octets, _Words, elements_max=elements_max, depth_max=depth_max).heard)


def result(octets: bytes) -> str:
    try:
        return heard(octets)
    except BadXmlError as error:
        return str(error)


class ForeignXmlTests(SynchronousTestCase):
    def test_elements_and_texts_are_heard_without_prefixes_and_up_to_what_is_wanted(self) -> None:
        self.assertEqual(heard(b"<x:a y='z'>b<c/></x:a>"), "<a b <c c> a>")
        self.assertEqual(heard(b"<a><last>1</last><b></a> nonsense"), "<a <last 1 last>")

    def test_what_is_no_xml_as_it_stands_is_mended(self) -> None:
        for octets, words in (
            (b"\xef\xbb\xbf\r\n<a>b</a>", "<a b a>"),
            ("<a>ü</a>".encode("utf-16"), "<a ü a>"),
            ("<a>ü</a>".encode("utf-16-le"), "<a ü a>"),
            ("<a>ü</a>".encode("utf-32"), "<a ü a>"),
            (b'<?xml version="1.0" encoding="no-such"?><a>\xc3\xbc</a>', "<a ü a>"),
            (b'<?xml version="1.0" encoding="iso-8859-1"?><a>\xfc</a>', "<a ü a>"),
            ('<?xml version="1.0" encoding="gb2312"?><a>中</a>'.encode("gb18030"), "<a 中 a>"),
            (b"<a>b & c < d</a>", "<a b & c < d a>"),
            (b"<a>&nbsp;&amp;</a>", "<a &nbsp;& a>"),
            (b"<a>\0&#1;</a>", "<a \ufffd\ufffd a>"),
        ):
            self.assertTrue(is_xml(octets), octets)
            self.assertEqual(heard(octets), words, octets)

    def test_what_declares_entities_or_has_no_bounds_is_refused(self) -> None:
        for octets in (
            b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
            '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
            b"<a>" * 11 + b"</a>" * 11,
            b"<a>" + b"<b/>" * 1_000 + b"</a>",
            b"<a " + b"".join(b"b%d='' " % number for number in range(10_000)) + b"/>",
        ):
            self.assertRaises(RefusedXmlError, heard, octets)

    def test_mistakes_by_the_thousand_take_no_more_than_their_time(self) -> None:
        for mistake in (
            b"<",
            b"&",
            b"\xff",
            b"\1",
            b"&#0;",
            b"<?xml ",
            b"<!--",
            b"]]>",
            b"<b>",
            b"</b>",
            b"<b",
            b" ",
            b"<![",
        ):
            assert_linear(result, lambda count, mistake=mistake: b"<a>" + mistake * count)  # type: ignore[misc]

    @given(st.binary(max_size=100) | st.text("<>/&;#x0!?[]-='\" abü\0", max_size=60).map(str.encode))
    def test_nothing_else_makes_it_fail(self, octets: bytes) -> None:
        result(octets)
        result(b"<a>" + octets)
        result(b"<?xml version='1.0' encoding='" + octets)
