"""Aggregate reports: written, carried by mail, and read back with care."""

from __future__ import annotations

import gzip
import io
import zipfile
from base64 import encodebytes

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces.dmarc import DomainDay, ReportedPolicy, ReportedRow
from pymailsuite.message.headers import first_field
from pymailsuite.policy.dmarc.reports.aggregate import Reporter, aggregate_xml, build_aggregate, report_message
from pymailsuite.policy.dmarc.reports.reading import parse_aggregate, read_report
from pymailsuite.policy.dmarc.reports.unpacking import BadReportError, documents
from tests.policy.dmarc.reports.samples import DAY, FORGED, NOON_OF_THE_NEXT_S, OLDER, PASSED, POLICY, RESULTS

REPORTER = Reporter("Ünser <Verein>", "dmarc@mx.test", "https://mx.test/dmarc", "mx.test")


def zipped(name: str, octets: bytes, **before: bytes) -> bytes:
    """An archive of a file, with others in front of it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in {**before, name: octets}.items():
            archive.writestr(each, content)
    return file.getvalue()


class WritingTests(SynchronousTestCase):
    def test_a_report_says_what_was_counted(self) -> None:
        report = parse_aggregate(aggregate_xml(RESULTS, REPORTER, "id@mx.test"))
        self.assertEqual(
            ("Ünser <Verein>", "dmarc@mx.test", "id@mx.test"), (report.organization, report.address, report.report_id)
        )
        self.assertEqual((DAY * 86_400, (DAY + 1) * 86_400 - 1), (report.begin, report.end))
        self.assertEqual(15, report.messages)
        (passed, forged), policy = report.results.rows, report.results.policy
        self.assertEqual((FORGED, 3), forged)
        # RFC 9990 no longer knows sampling.
        self.assertEqual((("other", "sampled_out pct=50"), PASSED.overrides[1]), passed[0].overrides)
        self.assertEqual((PASSED.auth_dkim, PASSED.auth_spf, 12), (passed[0].auth_dkim, passed[0].auth_spf, passed[1]))
        self.assertEqual(
            ("reject", "none", "s", "r", True), (policy.p, policy.sp, policy.adkim, policy.aspf, policy.testing)
        )

    def test_names_are_as_receivers_expect_them(self) -> None:
        report = build_aggregate(RESULTS, REPORTER)
        begin, end = DAY * 86_400, (DAY + 1) * 86_400 - 1
        self.assertRegex(report.file_name, rf"\Amx\.test!example\.com!{begin}!{end}!\w+\.xml\.gz\Z")
        self.assertEqual(
            f"Report Domain: example.com Submitter: mx.test Report-ID: <{report.report_id}>", report.subject
        )
        self.assertEqual(report, build_aggregate(RESULTS, REPORTER))

    def test_the_mail_carries_the_report(self) -> None:
        report = build_aggregate(RESULTS, REPORTER)
        mail = report_message(report, REPORTER, "agg@example.com", NOON_OF_THE_NEXT_S)
        self.assertTrue(all(len(line) <= 200 and b"\n" not in line for line in mail.split(b"\r\n")))
        self.assertEqual(report.subject.encode(), first_field(mail, b"subject"))
        self.assertEqual(15, read_report(mail).messages)

    @given(st.text(), st.text())
    def test_no_text_breaks_it(self, name: str, comment: str) -> None:
        row = ReportedRow(name, "none", "pass", "pass", name, overrides=((name, comment),))
        parse_aggregate(aggregate_xml(DomainDay(1, POLICY, ((row, 1),)), REPORTER, name))


class ReadingTests(SynchronousTestCase):
    def test_reports_of_older_software_are_read_in_any_wrapping(self) -> None:
        mail = (
            b"From: a@big.test\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + encodebytes(zipped("a.xml", OLDER))
        )
        for octets in (OLDER, b"\xef\xbb\xbf" + OLDER, gzip.compress(OLDER), zipped("A.XML", OLDER), mail):
            report = read_report(octets)
            self.assertEqual(("Big & Co", "42", 7), (report.organization, report.report_id, report.messages))
            self.assertEqual(
                ReportedPolicy("example.com", "quarantine", "none", aspf="s", pct=50, discovery=""),
                report.results.policy,
            )
            first, second = report.results.rows
            self.assertEqual((("forwarded", ""),), first[0].overrides)
            self.assertEqual((("fwd.test", "", "softfail"),), first[0].auth_spf)
            self.assertEqual((2, "fail"), (second[1], second[0].dkim))

    def test_what_reporters_get_wrong_is_read_all_the_same(self) -> None:
        for wrong in (
            OLDER.replace(b"noreply@big.test", b"<no-reply@big.test>"),
            OLDER.replace(b"<count>5", b"<count>5.0"),
            OLDER.replace(b"Big &amp; Co", b"Big & Co"),
            OLDER.replace(b"https://big.test/", b"https://big.test/?a=b&c=d"),
            OLDER.replace(b"192.0.2.8", b"bad byte \x91"),
            OLDER.replace(b"1728000000", b"1728000000.0").replace(b"<dkim>pass</dkim>", b"<dkim>PASS</dkim>"),
            OLDER.replace(b"<feedback>", b"<ns1:feedback xmlns:ns1='http://dmarc.org/dmarc-xml/0.1'>").replace(
                b"</feedback>", b"</ns1:feedback>"
            ),
            b'<?xml version="1.0" encoding="windows-1252"?>' + OLDER.partition(b"?>")[2].replace(b"192.0.2.8", b"\x80"),
        ):
            report = read_report(wrong)
            self.assertEqual(("Big & Co", 1_728_000_000, 7), (report.organization, report.begin, report.messages))
            self.assertEqual("pass", report.results.rows[0][0].dkim)

    def test_an_empty_reason_is_none(self) -> None:
        report = read_report(OLDER.replace(b"<type>forwarded</type>", b"<type></type>"))
        self.assertEqual((), report.results.rows[0][0].overrides)

    def test_what_unpacks_to_too_much_is_refused(self) -> None:
        zeros = b"<" + bytes(10_000_000)
        for bomb in (gzip.compress(zeros), zipped("a.xml", zeros), gzip.compress(zipped("a", gzip.compress(zeros)))):
            self.assertLess(len(bomb), 50_000)
            with self.assertRaisesRegex(BadReportError, "longer than"):
                list(documents(bomb, 1_000_000))

    def test_what_unpacks_to_too_much_for_its_size_is_refused(self) -> None:
        padded = OLDER + b" " * 5_000_000
        self.assertEqual(7, read_report(padded).messages)
        with self.assertRaisesRegex(BadReportError, "when it is unpacked"):
            read_report(gzip.compress(padded))
        packed = OLDER
        for _ in range(3):
            packed = gzip.compress(packed)
        self.assertEqual(7, read_report(packed).messages)
        with self.assertRaisesRegex(BadReportError, "packed too often"):
            read_report(gzip.compress(packed))

    def test_many_members_of_an_archive_take_no_time(self) -> None:
        empty = gzip.compress(b"", mtime=0)
        with self.assertRaises(BadReportError):
            read_report(empty * 20_000)
        with self.assertRaisesRegex(BadReportError, "too many files"):
            read_report(zipped("a", b"", **{f"{number:0300}": b"" for number in range(4_000)}))

    def test_content_is_judged_by_what_it_is(self) -> None:
        text = OLDER.decode().replace('"1.0"?>', '"1.0" encoding="UTF-8"?>')
        foreign = {"__MACOSX/._a.xml": b"\0\5\x16\7", "read.me": b"hello", "empty/": b"", "page.html": b"<html></html>"}
        encoded = encodebytes(gzip.compress(OLDER))
        part = b"--b\r\n%b\r\n\r\n%b\r\n"
        mail = b'From: a@big.test\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        mail += part % (b"Content-Type: text/html", b"<html><body>see below</body></html>")
        for name, octets in {
            "two members": gzip.compress(OLDER[:300]) + gzip.compress(OLDER[300:]),
            "padded": gzip.compress(OLDER) + bytes(512),
            "gzip in zip": zipped("report", gzip.compress(OLDER)),
            "zip in gzip": gzip.compress(zipped("report", OLDER)),
            "zip without a name that tells": zipped("report.txt", OLDER),
            "zip with foreign files": zipped("z", OLDER, **foreign),
            "line in front": b"\r\n \n" + OLDER,
            "bom and line": b"\xef\xbb\xbf\n" + OLDER,
            "utf-16": text.encode("utf-16"),
            "utf-16, declared": text.replace("UTF-8", "UTF-16").encode("utf-16-be"),
            "utf-16, said only": text.replace("UTF-8", "UTF-16").encode(),
            "utf-32": text.encode("utf-32"),
            "unknown encoding": text.replace("UTF-8", "x-unknown").encode(),
            "a codec that is none": text.replace("UTF-8", "punycode").encode(),
            "several octets a character": text.replace("UTF-8", "shift_jis").encode(),
            "open schema": b'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">' + OLDER.partition(b"?>")[2],
            "undeclared prefixes": OLDER.replace(b"<record>", b"<d:record>").replace(b"</record>", b"</d:record>"),
            "something behind": OLDER + b"<more>\0",
            "control characters": OLDER.replace(b"192.0.2.8", b"192\x1b\x01"),
            "another version": b'<?xml version="1.1"?>' + OLDER.partition(b"?>")[2],
            "empty encoding": b'<?xml version="1.0" encoding=""?>' + OLDER.partition(b"?>")[2],
            "comment in front": b"<!-- of yesterday -->" + OLDER,
            "declared twice": b'<?xml version="1.0"?>' + OLDER,
            "entities of html": OLDER.replace(b"192.0.2.8", b"&nbsp;a&b;c&#0;&#xD800;&#x110000;&#99999999999;&#65;"),
            "capitals": OLDER.replace(b"feedback>", b"FEEDBACK>").replace(b"record>", b"Record>"),
            "within other elements": b"<Envelope><Body>" + OLDER.partition(b"?>")[2] + b"</Body></Envelope>",
            "inline text": mail + part % (b"Content-Type: text/plain", OLDER) + b"--b--\r\n",
            "misspelt": mail + part % (b"ContentType: x\r\nContent-Transfer-Encoding: base64", encoded) + b"--b--",
            "no encoding told": mail + part % (b"Content-Type: application/octet-stream", encoded) + b"--b--",
            "unknown transfer encoding": mail + part % (b"Content-Transfer-Encoding: x-y", OLDER) + b"--b--",
            "wrong transfer encoding": mail + part % (b"Content-Transfer-Encoding: base64", OLDER) + b"--b--",
            "forwarded": mail + part % (b"Content-Type: message/rfc822", b"A: b\r\n\r\n" + OLDER) + b"--b--",
        }.items():
            with self.subTest(name):
                report = read_report(octets)
                self.assertEqual(("Big & Co", 7, ()), (report.organization, report.messages, report.remarks))

    def test_odd_dates_and_numbers_are_told(self) -> None:
        time = b"1728000000"
        for written, begin, remark in (
            (b"1728000000000", 1_728_000_000, "is in milliseconds"),
            (b"1728000000000000", 1_728_000_000, "is in microseconds"),
            (b"2024-10-04T00:00:00Z", 1_728_000_000, "is written as a date"),
            (b"2024-10-04", 1_728_000_000, "is written as a date"),
            (b"-1", 0, "is no time"),
            (b"NaN", 0, "is no time"),
            (b"", 0, "is no time"),
            (b"9" * 20, 99_999_999_999, "is in nanoseconds"),
            (b"9" * 400, 0, "is no time"),
            (b"0001-01-01T00:00:00+23:00", 0, "is no time"),
        ):
            report = read_report(OLDER.replace(b"<begin>" + time, b"<begin>" + written))
            self.assertEqual((begin, True), (report.begin, remark in report.remarks[0]), written)
        for written in (b"-5", b"NaN", b"inf", b"9" * 20, b"9" * 5_000, b"", b"1e9"):
            report = read_report(OLDER.replace(b"<count>5", b"<count>" + written))
            self.assertEqual((3, True), (report.messages, "a record counts" in report.remarks[0]), written)

    def test_a_report_of_more_elements_than_any_is_refused_before_memory_is(self) -> None:
        head, _, rest = OLDER.partition(b"<record>")
        tail = b"<record>" + rest
        for flood, what in ((b"<record/>" * 100_001, "records"), (b"<a>" * 20 + b"</a>" * 20, "inside one another")):
            with self.assertRaisesRegex(BadReportError, what):
                read_report(head + flood + tail)
        unknown = b"<a><begin>1</begin></a>" * 1_000 + b"<record><auth_results>" + b"<dkim/>" * 1_000
        report = read_report(head + unknown + b"</auth_results></record>" + tail)
        self.assertEqual((3, 100), (len(report.results.rows), len(report.results.rows[0][0].auth_dkim)))

    def test_entities_are_refused(self) -> None:
        laughs = b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><feedback>&b;</feedback>'
        outside = b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><feedback/>'
        for octets in (laughs, outside):
            with self.assertRaisesRegex(BadReportError, "document type"):
                read_report(octets)

    def test_what_is_no_report_is_refused(self) -> None:
        for octets in (
            *(
                b"",
                b"<",
                b"<html/>",
                b"<feedback/>",
                b"<feedback>",
                b"\x1f\x8bxx",
                b"PK\x03\x04xx",
                zipped("a.xml", b"hello"),
            ),
            *(b"Subject: hi\r\n\r\nhello", b"<a>" * 100 + b"</a>" * 100, gzip.compress(OLDER)[:40]),
        ):
            with self.assertRaises(BadReportError):
                read_report(octets)

    @given(st.binary(max_size=200), st.sampled_from((b"", b"<feedback>", b"\x1f\x8b\x08", b"PK\x03\x04")))
    def test_nothing_else_makes_it_fail(self, octets: bytes, start: bytes) -> None:
        try:
            read_report(start + octets)
        except BadReportError:
            pass
