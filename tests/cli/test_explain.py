"""``pymailsuite explain``: agrees with the commands for each check, and with what a server does."""

from __future__ import annotations

import imaplib
import json
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.cli.explain import verdict_of
from pymailsuite.delivery.dry_run import DryRunResult
from pymailsuite.interfaces.edits import AddField, ChangeSender, Edits, RemoveField, ReplaceBody, ReplaceField
from pymailsuite.interfaces.policy import Decision, PolicyReply, Stage
from pymailsuite.message.authentication_results import parse_authentication_results
from pymailsuite.message.headers import fields
from pymailsuite.values import Address
from tests.policy.arc.support import sealed
from tests.policy.dkim.support import MESSAGE, NOW, signed, signing_key
from tests.support import commands
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S
from tests.support.server import Server, running

KEY = signing_key()
HOP = signing_key(domain="hop1.example.org")
ZONE: Mapping[tuple[str, str], Sequence[str]] = {
    ("example.org", "TXT"): ['"v=spf1 ip4:192.0.2.1 exp=why.example.org -all"'],
    ("example.org", "MX"): ["10 mx.example.org."],
    ("mx.example.org", "A"): ["192.0.2.1"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org."],
    ("why.example.org", "TXT"): ['"%{i} is not ours"'],
    ("_dmarc.example.org", "TXT"): ['"v=DMARC1; p=reject"'],
    ("half.example", "MX"): ["10 mx.example.org."],
    ("_dmarc.half.example", "TXT"): ['"v=DMARC1; p=quarantine; pct=1"'],
    ("bare.example", "A"): ["192.0.2.1"],
    **{
        (key.name, "TXT"): [" ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))]
        for key in (KEY, HOP)
        for text in (key.private.record_text(),)
    },
}
FORGED = MESSAGE.replace(b"Dinner", b"Supper")


class ExplainCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, octets: bytes) -> str:
        path = self.folder / f"{abs(hash(octets))}.eml"
        path.write_bytes(octets)
        return str(path)

    def run_command(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        done = commands.run(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr if code == 2 else done.stdout

    def lines(self, zone: ZoneServer, *questions: Mapping[str, Any]) -> list[Any]:
        stdin = "".join(json.dumps(question) + "\n" for question in questions)
        printed = self.run_command("explain", "--batch", "--resolver", zone.address, "--now", str(NOW), stdin=stdin)
        return [json.loads(line) for line in printed.splitlines()]


class ExplainCommandTests(ExplainCase):
    def question(self, octets: bytes, ip: str = "192.0.2.1", sender: str = "ann@example.org") -> dict[str, Any]:
        to = "bob@example.net"
        return {"ip": ip, "helo": "mx.example.org", "from": sender, "to": to, "file": self.file(octets)}

    def test_each_check_has_the_words_of_rfc_8601(self) -> None:
        bare = MESSAGE.replace(b"example.org", b"bare.example")
        half = MESSAGE.replace(b"example.org", b"half.example")
        with ZoneServer(ZONE, broken=["broken.example", "_dmarc.broken.example"]) as zone:
            good, forged, plain, sampled, none, null, broken = self.lines(
                zone,
                self.question(signed()),
                self.question(signed().replace(b"early", b"late"), ip="192.0.2.9"),
                self.question(MESSAGE.replace(b"\r\n", b"\n"), sender="x@bare.example"),
                self.question(half, sender="x@bare.example"),
                self.question(bare, sender="x@bare.example"),
                self.question(sealed(signed()), sender=""),
                self.question(MESSAGE.replace(b"example.org", b"broken.example"), sender="x@broken.example"),
            )
        self.assertEqual(list(good), ["spf", "dkim", "arc", "dmarc", "verdict", "trace"])
        self.assertEqual(good["spf"], {"result": "pass", "domain": "example.org", "explanation": ""})
        self.assertEqual(good["dkim"], [{"result": "pass", "domain": "example.org", "selector": "s1", "reason": ""}])
        self.assertEqual(good["arc"], {"result": "none", "instance": 0, "reason": ""})
        passed = {"result": "pass", "policy": "reject", "disposition": "none", "domain": "example.org"}
        self.assertEqual(good["dmarc"], passed)
        self.assertEqual((good["verdict"]["action"], good["verdict"]["reply"]), ("accept", ""))

        self.assertEqual(forged["spf"]["explanation"], "192.0.2.9 is not ours")
        self.assertEqual([row["result"] for row in forged["dkim"]], ["fail"])
        self.assertEqual(forged["dmarc"], passed | {"result": "fail", "disposition": "reject"})
        self.assertEqual((forged["verdict"]["action"], forged["verdict"]["stage"]), ("reject", "rcpt"))
        self.assertTrue(forged["verdict"]["reply"].startswith("550 5.7.23 SPF MAIL FROM check failed"))

        self.assertEqual((plain["spf"]["result"], plain["dkim"]), ("none", []))
        self.assertEqual((sampled["dmarc"]["result"], sampled["dmarc"]["disposition"]), ("fail", "quarantine"))
        self.assertEqual(none["dmarc"], {**passed, "result": "none", "policy": "", "domain": "bare.example"})
        self.assertEqual(null["arc"], {"result": "pass", "instance": 1, "reason": ""})
        self.assertEqual((null["spf"]["result"], null["spf"]["domain"]), ("none", "mx.example.org"))
        self.assertEqual((broken["spf"]["result"], broken["dmarc"]["result"]), ("temperror", "temperror"))
        self.assertEqual(broken["verdict"]["action"], "tempfail")

    def test_a_single_message_is_told_to_people_and_to_programs(self) -> None:
        arguments = ["--ip", "192.0.2.9", "--helo", "mx.example.org", "--from", "ann@example.org", "--now", str(NOW)]
        with ZoneServer(ZONE) as zone:
            arguments += ["--resolver", zone.address, self.file(FORGED)]
            told = self.run_command("explain", *arguments)
            answer = json.loads(self.run_command("explain", "--json", *arguments))
        self.assertIn("reject at rcpt, score ", told)
        self.assertIn("dmarc  fail example.org, policy reject, reject\n", told)
        self.assertEqual(answer["verdict"]["policy"], "spf")
        self.assertIn("spf", [row["policy"] for row in answer["trace"]])

    def test_a_server_tells_of_full_accounts_with_numbers(self) -> None:
        config = str(self.folder / "mail.toml")
        Path(config).write_text(
            '[server]\nhostname = "mail.example.test"\ndomains = ["example.test"]\ndata_dir = "data"\n'
        )
        for command in (
            ("account", "add", "bob@example.test", "--no-password"),
            ("account", "add", "sue@example.test", "--no-password"),
            ("account", "quota", "bob@example.test", "--storage", "10"),
        ):
            self.run_command(*command, "--config", config)
        client = ["--ip", "192.0.2.1", "--helo", "mx.example.org", "--from", "ann@example.org", "--now", str(NOW)]
        with ZoneServer(ZONE) as zone:
            asked = [*client, "--config", config, "--resolver", zone.address, "--json"]
            both = ("--to", "bob@example.test", "--to", "sue@example.test")
            told = json.loads(self.run_command("explain", *asked, *both, self.file(signed())))
            alone = json.loads(self.run_command("explain", *asked, *both[:2], self.file(signed())))
        full, free = told["recipients"]
        self.assertEqual(full["policy"], "quota")
        self.assertRegex(
            full["reply"], r"452 4\.2\.2 <bob@example.test> Mailbox is full \(0 of 10 octets are used, and \d+"
        )
        self.assertEqual(free["account"], "sue@example.test")
        self.assertEqual((told["verdict"]["action"], alone["verdict"]["action"]), ("accept", "tempfail"))

    def test_a_server_tells_of_recipients_what_it_would_answer_to_rcpt(self) -> None:
        config = str(self.folder / "mail.toml")
        Path(config).write_text(
            '[server]\nhostname = "mail.example.test"\ndomains = ["example.test"]\ndata_dir = "data"\n'
            '[greylist]\naction = "reject"\nwhen = "always"\n'
        )
        for command in (
            ("account", "add", "bob@example.test", "--no-password"),
            ("account", "rule", "bob@example.test", "greylist", "off"),
            ("alias", "set", "team@example.test", "bob@example.test", "sue@far.example"),
        ):
            self.run_command(*command, "--config", config)
        names = [
            "bob@example.test",
            "bob+x@example.test",
            "team@example.test",
            "nobody@example.test",
            "sue@far.example",
        ]
        client = ["--ip", "192.0.2.1", "--helo", "mx.example.org", "--from", "ann@example.org", "--now", str(NOW)]
        with ZoneServer(ZONE) as zone:
            asked = [*client, "--config", config, "--resolver", zone.address]
            to = [word for name in names for word in ("--to", name)]
            several = json.loads(self.run_command("explain", *asked, *to, "--json", self.file(signed())))
            one = self.run_command("explain", *asked, "--to", "team@example.test", self.file(signed()))
            nobody = json.loads(self.run_command("explain", *asked, "--to", names[3], "--json", self.file(signed())))
        bob = {"account": "bob@example.test", "mailbox": "INBOX"}
        self.assertEqual(
            several["recipients"],
            [
                {"recipient": "bob@example.test", **bob},
                {"recipient": "bob+x@example.test", **bob},
                {
                    "recipient": "team@example.test",
                    "reply": "451 4.7.1 Greylisted, try again in 120 s",
                    "policy": "greylist",
                },
                {
                    "recipient": "nobody@example.test",
                    "reply": "550 5.1.1 <nobody@example.test> unknown user account",
                    "policy": "",
                },
                {"recipient": "sue@far.example", "reply": "550 5.7.1 Relaying denied", "policy": ""},
            ],
        )
        self.assertEqual(several["steps"], [])
        self.assertEqual((several["verdict"]["action"], several["dmarc"]["result"]), ("accept", "pass"))
        self.assertTrue(one.startswith("tempfail at rcpt, score "), one)
        self.assertIn("recipient team@example.test: 451 4.7.1 Greylisted, try again in 120 s  (by greylist)\n", one)
        self.assertEqual((nobody["verdict"]["action"], nobody["verdict"]["stage"]), ("reject", "rcpt"))
        self.assertEqual((nobody["verdict"]["reply"][:9], nobody["verdict"]["policy"]), ("550 5.1.1", ""))
        # The checks have their say all the same.
        self.assertEqual(nobody["dmarc"]["result"], "pass")

    def test_it_asks_the_lookup_tables_of_the_server_as_the_commands_on_aliases_do(self) -> None:
        config, table = self.folder / "mail.toml", self.folder / "aliases"
        table.write_text("sales@example.test bob@example.test\n")
        settings = '[server]\nhostname = "mail.example.test"\ndomains = ["example.test"]\ndata_dir = "data"\n'
        config.write_text(f'{settings}[directory]\ntables = ["text:{table}"]\n')
        self.run_command("account", "add", "bob@example.test", "--no-password", "--config", str(config))
        self.run_command("alias", "set", "team@example.test", "sales@example.test", "--config", str(config))
        self.run_command("alias", "set", "x@example.test", "y@example.test", "--config", str(config), code=1)
        client = ["--ip", "192.0.2.1", "--helo", "mx.example.org", "--now", str(NOW), "--config", str(config)]
        with ZoneServer(ZONE) as zone:
            asked = [*client, "--resolver", zone.address, "--json", self.file(signed())]
            to = ["--to", "team@example.test", "--to", "sales@example.test"]
            told = json.loads(self.run_command("explain", *asked, *to))["recipients"]
            table.write_text("nothing of this kind\n")
            failed = json.loads(self.run_command("explain", *asked, "--to", "other@example.test"))["verdict"]
        self.assertEqual([row["account"] for row in told], ["bob@example.test"] * 2)
        self.assertEqual((failed["action"], failed["reply"][:9]), ("tempfail", "451 4.3.0"))
        table.unlink()
        for kind in ("text", "ldap"):
            config.write_text(f'{settings}[directory]\ntables = ["{kind}:{table}"]\n')
            self.assertIn("directory.tables: ", self.run_command("config", "check", str(config), code=2))

    def test_mistakes_are_told(self) -> None:
        self.assertIn("give either --ip and FILE", self.run_command("explain", code=2))
        lines = [{}, {"ip": "192.0.2.1"}, *({"ip": "192.0.2.1", "file": file} for file in ("", "-", "/none", 5, "\0"))]
        printed = self.run_command("explain", "--batch", stdin="\n".join(map(json.dumps, lines)), code=1)
        faults = [json.loads(line)["error"] for line in printed.splitlines()]
        self.assertEqual(faults[:2], ["line 1: 'ip' is missing", "line 2: 'file' is missing"])
        self.assertEqual(len(faults), len(lines))
        self.assertIn("not appear to be", self.run_command("explain", "--ip", "x", self.file(b""), code=2))

    def test_what_it_says_is_what_each_command_and_a_server_say(self) -> None:
        messages = {
            "ann@example.org": sealed(signed()),
            "x@bare.example": signed(),
            "": MESSAGE.replace(b"example.org", b"bare.example"),
        }
        with ZoneServer(ZONE) as zone:
            server = Server(self.folder, ["user"], "--proxy-protocol", "--resolver", zone.address)
            with running(server):
                for sender, octets in messages.items():
                    self._hand_in(server, sender, octets)
                received = self._received(server)
            file_of = {sender: self.file(octets) for sender, octets in messages.items()}
            for (sender, file), found in zip(file_of.items(), received, strict=True):
                question = {"ip": "192.0.2.1", "helo": "mx.example.org", "from": sender, "to": "user@example.test"}
                (answer,) = self.lines(zone, question | {"file": file})
                self.assertEqual(answer["verdict"]["action"], "accept")
                self._compare(answer, found)
                self._compare_commands(answer, zone, sender, file)

    def _hand_in(self, server: Server, sender: str, octets: bytes) -> None:
        commands = ["EHLO mx.example.org", f"MAIL FROM:<{sender}>", "RCPT TO:<user@example.test>", "DATA"]
        with socket.create_connection(("127.0.0.1", server.port(25)), timeout=PATIENCE_S) as connection:
            connection.sendall(b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 25\r\n")
            stream: Any = connection.makefile("rb")
            replies = []
            for command in ["", *commands, octets.decode() + "\r\n."]:
                if command:
                    connection.sendall(command.encode() + b"\r\n")
                while (line := stream.readline().decode())[3:4] == "-":
                    pass
                replies.append(line)
            self.assertTrue(replies[-1].startswith("250 "), replies)

    def _received(self, server: Server) -> list[list[Any]]:
        with imaplib.IMAP4("127.0.0.1", server.port(143)) as reader:
            reader.login("user@example.test", "test")
            reader.select()
            headers: list[Any] = reader.fetch("1:*", "(BODY[HEADER])")[1]
        found = []
        for header in headers:
            if isinstance(header, tuple):
                bodies = [body for name, body in fields(header[1]) if name.lower() == b"authentication-results"]
                parsed = parse_authentication_results(bodies[0])
                assert parsed is not None and parsed.authserv_id == "mail.example.test"
                found.append(list(parsed.results))
        return found

    def _compare(self, answer: Any, found: list[Any]) -> None:
        by_method: dict[str, list[Any]] = {}
        for result in found:
            by_method.setdefault(result.method, []).append(result)
        self.assertEqual(answer["spf"]["result"], by_method["spf"][-1].result)
        self.assertEqual([row["result"] for row in answer["dkim"]] or ["none"], [r.result for r in by_method["dkim"]])
        self.assertEqual([answer["arc"]["result"]], [r.result for r in by_method.get("arc", [])] or ["none"])
        self.assertEqual([answer["dmarc"]["result"]], [r.result for r in by_method["dmarc"]])

    def _compare_commands(self, answer: Any, zone: ZoneServer, sender: str, file: str) -> None:
        ask = ["--resolver", zone.address, "--now", str(NOW), "--json"]
        spf = self.run_command("spf", "--ip", "192.0.2.1", "--sender", sender, "--helo", "mx.example.org", *ask)
        dkim = self.run_command("dkim", "verify", file, *ask)
        arc = self.run_command("arc", "verify", file, *ask)
        self.assertEqual(answer["spf"]["result"], json.loads(spf)["result"])
        self.assertEqual(answer["dkim"], [row for row in json.loads(dkim)["dkim"] if row["result"] != "none"])
        self.assertEqual(answer["arc"], json.loads(arc)["arc"])


class ChangesTests(SynchronousTestCase):
    def test_what_policies_want_changed_is_told_a_line_each(self) -> None:
        ann, bea, joe = (Address(name, "example.org") for name in ("ann", "bea", "joe"))
        edits = Edits(
            (AddField(b"X-A: 1\r\n\t2\r\n"), ReplaceField(b"Subject", b"Subject: x\r\n"), RemoveField(b"To")),
            ReplaceBody(b""),
            ChangeSender(None),
            (joe,),
            frozenset([bea]),
            {ann: joe},
            {ann: "odd"},
        )
        told = verdict_of(DryRunResult((), {Stage.MESSAGE: Decision(edits=edits)}, None))
        self.assertEqual(
            told["changes"],
            [
                "add X-A: 1 2",
                "replace Subject by Subject: x",
                "remove To",
                "replace the body",
                "change the sender to <>",
                "add the recipient joe@example.org",
                "remove the recipient bea@example.org",
                "redirect ann@example.org to joe@example.org",
                "quarantine for ann@example.org: odd",
            ],
        )
        refused = Decision(PolicyReply(550, "5.7.1", "no"), edits=edits)
        self.assertEqual(verdict_of(DryRunResult((), {Stage.MESSAGE: refused}, Stage.MESSAGE))["changes"], [])
