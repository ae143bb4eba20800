"""``pymailsuite dmarc``."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.dmarc.reports.samples import OLDER
from tests.support import commands
from tests.support.dns import ZoneServer

FAILURE = b"""From: reports@big.test
Content-Type: multipart/report; report-type=feedback-report; boundary=x

--x
Content-Type: message/feedback-report

Feedback-Type: auth-failure
Auth-Failure: dmarc
Source-IP: 192.0.2.1

--x
Content-Type: text/rfc822-headers

From: a@example.com
Subject: pay

--x--
""".replace(b"\n", b"\r\n")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.run("dmarc", *arguments)


class ParseTests(SynchronousTestCase):
    def test_a_report_is_read_for_people_and_programs(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = Path(folder.name) / "report.xml"
        file.write_bytes(OLDER)
        facts = json.loads(run("parse", "--json", str(file)).stdout)
        self.assertEqual(("Big & Co", 7, 5), (facts["organization"], facts["messages"], facts["passed"]))
        self.assertEqual({"type": "forwarded", "comment": ""}, facts["records"][0]["reasons"][0])
        self.assertIn("192.0.2.8", run("parse", str(file)).stdout)
        file.write_bytes(b"no report")
        refused = run("parse", str(file))
        self.assertEqual(1, refused.returncode)
        self.assertIn("no report in it", refused.stderr)

    def test_a_failure_report_is_read_too(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = Path(folder.name) / "report.eml"
        file.write_bytes(FAILURE)
        facts = json.loads(run("parse", "--json", str(file)).stdout)
        self.assertEqual(("dmarc", "192.0.2.1"), (facts["auth_failure"], facts["source_ip"]))
        self.assertEqual({"from": "a@example.com", "subject": "pay"}, facts["original"])
        self.assertIn("192.0.2.1", run("parse", str(file)).stdout)


class CheckTests(SynchronousTestCase):
    def test_what_is_published_decides(self) -> None:
        records = {
            ("_dmarc.example.com", "TXT"): ['"v=DMARC1; p=reject; sp=quarantine"'],
            ("a.example.com", "A"): ["192.0.2.1"],
        }
        with ZoneServer(records) as zone:
            forged = json.loads(run("check", "x@a.example.com", "--resolver", zone.address, "--json").stdout)
            passed = json.loads(
                run("check", "a.example.com", "--dkim", "example.com", "--resolver", zone.address, "--json").stdout
            )
        self.assertEqual(("fail", "quarantine"), (forged["result"], forged["disposition"]))
        self.assertEqual(
            ("pass", "none", "example.com"), (passed["result"], passed["disposition"], passed["aligned_dkim"])
        )
