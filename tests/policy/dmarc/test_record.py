"""DMARC records as domains publish them, good and bad."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.dmarc.record import Disposition, DmarcRecord, ReportAddress, parse_record


def parsed(text: str) -> DmarcRecord:
    record = parse_record(text.encode())
    assert record is not None
    return record


class RecordTests(SynchronousTestCase):
    def test_every_tag_is_read(self) -> None:
        text = (
            "v=DMARC1; p=Reject; sp = quarantine;np=none; adkim=s; aspf=S; pct=50; t=y; psd=n; ri=3600; fo=1:d:x;"
            "rua=mailto:A@Example.org!10m, https://x.example/,mailto:b%2Cc@example.org; ruf=mailto:f@example.org!5; x=y"
        )
        self.assertEqual(
            DmarcRecord(
                text,
                Disposition.REJECT,
                Disposition.QUARANTINE,
                Disposition.NONE,
                strict_dkim=True,
                strict_spf=True,
                pct=50,
                testing=True,
                psd="n",
                rua=(ReportAddress("A@Example.org", 10 * 2**20), ReportAddress("b,c@example.org")),
                ruf=(ReportAddress("f@example.org", 5),),
                fo=("1", "d"),
                ri=3600,
            ),
            parsed(text),
        )

    def test_what_is_missing_or_means_nothing_is_the_default(self) -> None:
        text = "v=DMARC1;p=none;adkim=strict;pct=101;ri=-1;fo=;psd=maybe;t=yes;pct=3;junk;=;rua=x"
        self.assertEqual(DmarcRecord(text, Disposition.NONE), parsed(text))

    def test_other_versions_and_texts_are_no_records(self) -> None:
        for text in (
            *(
                "",
                "v=spf1 -all",
                "v=DMARC2; p=reject",
                "v=DMARC1x; p=reject",
                "v=dmarc1; p=reject",
                "p=reject; v=DMARC1",
            ),
            *("v=DMARC1 p=reject", " v=DMARC1; p=reject", "V=DMARC;p=none"),
        ):
            self.assertIsNone(parse_record(text.encode()), text)
        self.assertEqual(Disposition.REJECT, parsed("v = DMARC1 ; p=reject").p)
        self.assertIsNone(parsed("v=DMARC1").p)

    def test_a_record_without_a_valid_policy_is_p_none_if_somebody_wants_reports(self) -> None:
        for tags in ("", "p=block;", "p=reject; sp=bounce;", "p=reject; np=;"):
            for uri in ("mailto:a@example.org", "https://reports.example/"):
                record = parsed(f"v=DMARC1; {tags} rua={uri}")
                self.assertEqual((Disposition.NONE, None, None), (record.p, record.sp, record.np))
            hostile = ("rua=mailto:a%0D%0Ab@x.test", "rua=mailto:a%00@x.test", "rua=mailto:a%3E@x.test")
            for rua in ("", "rua=", "rua=a@example.org", "rua=mailto:", "rua=mailto:@x", *hostile):
                self.assertIsNone(parsed(f"v=DMARC1; {tags} {rua}").p)

    @given(st.binary(max_size=100).map(lambda octets: b"v=DMARC1;" + octets) | st.binary(max_size=100))
    def test_nothing_makes_it_fail(self, text: bytes) -> None:
        parse_record(text)
