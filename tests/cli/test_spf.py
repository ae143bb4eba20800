"""``pymailsuite spf`` against a name server on loopback."""

import json
import subprocess
import sys

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.support import commands
from tests.support.dns import ZoneServer

ZONE = {
    ("example.com", "TXT"): ['"v=spf1 mx a:far.example.com exp=why.example.com -all"'],
    ("example.com", "MX"): ["10 mx.example.com."],
    ("mx.example.com", "A"): ["192.0.2.1"],
    ("far.example.com", "A"): ["192.0.2.2"],
    ("why.example.com", "TXT"): ['"%{r} at %{t}: not %{i}"'],
}


class SpfCommandTests(SynchronousTestCase):
    def run_command(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        done = commands.run("spf", *arguments, stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr if code == 2 else done.stdout

    def test_the_result_comes_first_then_why_then_each_step(self) -> None:
        with ZoneServer(ZONE) as zone:
            printed = self.run_command(
                "--ip", "192.0.2.1", "--sender", "j@example.com", "--helo", "x", "--resolver", zone.address
            )
        self.assertEqual(
            printed.splitlines(),
            [
                "pass",
                "example.com permits 192.0.2.1: mx",
                "  example.com: v=spf1 mx a:far.example.com exp=why.example.com -all",
                "    TXT example.com: 'v=spf1 mx a:far.example.com exp=why.example.com -all'",
                "  example.com: mx matches",
                "    MX example.com: 10 mx.example.com",
                "    A mx.example.com: 192.0.2.1",
            ],
        )

    def test_json_has_the_explanation_and_the_field(self) -> None:
        with ZoneServer(ZONE) as zone:
            arguments = ["--ip", "192.0.2.9", "--sender", "j@example.com", "--helo", "x", "--receiver", "r.example"]
            printed = self.run_command(*arguments, "--now", "1000", "--json", "--resolver", zone.address)
        facts = json.loads(printed)
        self.assertEqual(facts["result"], "fail")
        self.assertEqual(facts["explanation"], "r.example at 1000: not 192.0.2.9")
        self.assertTrue(facts["received_spf"].startswith("Received-SPF: fail "))

    def test_a_batch_is_answered_line_by_line_whatever_the_server_does(self) -> None:
        senders = ["j@silent.example", "j@example.com", "j@broken.example", "j@nobody.example", "j@example.com"]
        ips = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1", "192.0.2.3"]
        lines = [
            json.dumps({"ip": ip, "sender": sender, "helo": "x.example", "receiver": "r.example"})
            for ip, sender in zip(ips, senders, strict=True)
        ]
        with ZoneServer(ZONE, broken=["broken.example"], silent=["silent.example"]) as zone:
            arguments = ["--batch", "--now", "7", "--resolver", zone.address]
            printed = self.run_command(*arguments, stdin="\n".join(lines) + "\n")
        answers = [json.loads(line) for line in printed.splitlines()]
        self.assertEqual([a["result"] for a in answers], ["temperror", "pass", "temperror", "none", "fail"])
        self.assertEqual([a["explanation"] for a in answers], ["", "", "", "", "r.example at 7: not 192.0.2.3"])

    @pytest.mark.slow
    def test_a_server_that_is_silent_about_most_names_is_still_asked_for_the_others(self) -> None:
        with ZoneServer(ZONE, silent=["silent.example", "silent2.example", "", "."]) as zone:
            command = [sys.executable, "-m", "pymailsuite", "spf", "--batch", "--resolver", zone.address]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdin is not None and process.stdout is not None
                results = []
                for domain in ("silent.example", "silent2.example", "example.com"):
                    print(json.dumps({"ip": "192.0.2.1", "sender": f"j@{domain}"}), file=process.stdin, flush=True)
                    results.append(json.loads(process.stdout.readline())["result"])
        self.assertEqual(results, ["temperror", "temperror", "pass"])

    def test_mistakes_are_told(self) -> None:
        self.assertIn("give either --ip", self.run_command(code=2))
        self.assertIn("does not appear to be an IPv4 or IPv6", self.run_command("--ip", "x", code=2))

    def test_each_line_of_a_batch_is_answered_whatever_it_is(self) -> None:
        lines = [
            "{}",
            "nonsense",
            '{"ip": "192.0.2.1", "sender": 5}',
            '{"ip": "192.0.2.300"}',
            '{"ip": "192.0.2.1", "sender": null, "helo": null, "receiver": null}',
            '{"ip": "192.0.2.1"}',
            r'{"ip": "192.0.2.1", "sender": "a\ud800\u0000b@x\ud800 \u0000.example.com", "helo": "\ud800"}',
            '{"ip": "192.0.2.1", "sender": "gr\u00fc\u00df@example.com"}',
        ]
        with ZoneServer(ZONE) as zone:
            printed = self.run_command("--batch", "--resolver", zone.address, stdin="\n".join(lines), code=1)
        answers = [json.loads(line) for line in printed.splitlines()]
        self.assertEqual([answer["result"] for answer in answers], ["error"] * 4 + ["none"] * 3 + ["pass"])
        self.assertEqual([answer["explanation"] for answer in answers], [""] * 8)
        self.assertEqual(answers[0]["error"], "line 1: 'ip' is missing")
        self.assertIn("line 4: '192.0.2.300' does not appear to be", answers[3]["error"])
