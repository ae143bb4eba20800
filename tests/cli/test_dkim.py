"""``pymailsuite dkim`` and ``pymailsuite arc``, against a name server on loopback."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.dkim.private_keys import read_key_file, write_key_file
from tests.acceptance import acceptance
from tests.policy.dkim.support import MESSAGE, NOW, private_key
from tests.support import commands
from tests.support.dns import ZoneServer


class CommandTests(SynchronousTestCase):
    """Each command is a process: the reactor runs once in each."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.key = self.folder / "key.pem"
        write_key_file(self.key, private_key())
        # As a file on disk usually is.
        self.message = self.folder / "message.eml"
        self.message.write_bytes(MESSAGE.replace(b"\r\n", b"\n"))
        text = private_key().record_text()
        strings = f'"{text[:200]}" "{text[200:]}"'
        zone = ZoneServer({("s1._domainkey.example.org", "TXT"): [strings]})
        zone.__enter__()
        self.addCleanup(zone.__exit__)
        self.server = zone.address
        self.signer = ["--domain", "example.org", "--selector", "s1", "--key", str(self.key)]

    def command(self, *words: str, stdin: bytes = b"", code: int = 0) -> bytes:
        done = commands.run_octets(*words, stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    @acceptance("S194")
    def test_what_is_signed_verifies(self) -> None:
        signed = self.command("dkim", "sign", *self.signer, "--now", str(NOW), str(self.message))
        self.assertTrue(signed.endswith(MESSAGE))
        verify = ("dkim", "verify", "--resolver", self.server, "--now", str(NOW))
        self.assertEqual(self.command(*verify, "-", stdin=signed), b"pass example.org s1\n")
        bad = signed.replace(b"early", b"late")
        self.assertEqual(self.command(*verify, "-", stdin=bad), b"fail example.org s1 body was changed\n")
        # The better one first, though it is the lower.
        again = self.command(
            "dkim", "sign", *self.signer, "--headers", "from:to", "--now", str(NOW + 100_000), "-", stdin=signed
        )
        lines = self.command(*verify, "-", stdin=again).splitlines()
        self.assertEqual([line.split()[0] for line in lines], [b"pass", b"policy"])
        rows = json.loads(self.command(*verify, "--json", "-", stdin=again))["dkim"]
        self.assertEqual([row["result"] for row in rows], ["policy", "pass"])
        self.assertEqual(set(rows[0]), {"result", "domain", "selector", "reason"})

    @acceptance("S076")
    def test_what_is_sealed_has_a_chain(self) -> None:
        seal = ("arc", "seal", *self.signer, "--authserv-id", "example.org", "--resolver", self.server)
        sealed = self.command(*seal, "--authentication-results", "spf=pass", str(self.message))
        self.assertTrue(sealed.endswith(MESSAGE))
        self.assertIn(b"i=1; example.org;\r\n\tspf=pass\r\n", sealed)
        verify = ("arc", "verify", "--resolver", self.server)
        self.assertEqual(self.command(*verify, "-", stdin=sealed), b"pass i=1\n")
        broken = self.command(*seal, "-", stdin=sealed + b"more")
        self.assertIn(b"cv=fail", broken)
        answer = json.loads(self.command(*verify, "--json", "-", stdin=broken))
        self.assertEqual(answer["arc"], {"result": "fail", "instance": 2, "reason": "the chain had failed at i=2"})
        self.assertEqual(self.command(*seal, "-", stdin=broken), broken)
        self.assertEqual(self.command(*verify, str(self.message)), b"none i=0\n")

    def test_many_files_are_answered_line_by_line(self) -> None:
        signed = self.folder / "signed.eml"
        signed.write_bytes(self.command("dkim", "sign", *self.signer, str(self.message)))
        lines = "".join(json.dumps({"file": str(file)}) + "\n" for file in (signed, self.message))
        out = self.command("dkim", "verify", "--batch", "--resolver", self.server, stdin=lines.encode())
        answers = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([answer["dkim"][0]["result"] for answer in answers], ["pass", "none"])
        self.assertEqual([answer["arc"]["result"] for answer in answers], ["none", "none"])

    def test_a_new_key_is_written_for_its_owner_only_and_never_over_another(self) -> None:
        file = self.folder / "new.pem"
        words = ("dkim", "keygen", "--domain", "Example.Org", "--selector", "s2", "--out", str(file))
        out = self.command(*words).decode()
        self.assertTrue(out.startswith('s2._domainkey.example.org. IN TXT ( "v=DKIM1; k=rsa; p='))
        self.assertLessEqual(max(map(len, out.split('"'))), 255)
        self.assertIn(read_key_file(file).record_text()[:200], out)
        self.assertIn(b"exists", self.command(*words, code=1))
        told = json.loads(self.command(*words[:-1], str(self.folder / "e.pem"), "--algorithm", "ed25519", "--json"))
        self.assertEqual((told["name"], told["type"]), ("s2._domainkey.example.org", "TXT"))
        self.assertTrue(told["value"].startswith("v=DKIM1; k=ed25519; p="))

    def test_what_cannot_be_done_is_said(self) -> None:
        self.assertIn(b"no From", self.command("dkim", "sign", *self.signer, "-", stdin=b"To: x\n\n", code=1))
        self.assertIn(b"no such", self.command("dkim", "verify", "/no/such/file", code=1).lower())
        bad_key = ("--domain", "example.org", "--selector", "s1", "--key", str(self.message))
        self.assertIn(b"no private key", self.command("dkim", "sign", *bad_key, str(self.message), code=2))
        self.assertIn(b"From", self.command("dkim", "sign", *self.signer, "--headers", "to", str(self.message), code=2))
        self.command("dkim", "verify", code=2)

    def test_nothing_on_the_command_line_breaks_out_of_its_tag(self) -> None:
        for words, reason in (
            (["--selector", "s; i=@evil.test"], b"not a domain name"),
            (["--selector", ""], b"not a domain name"),
            (["--domain", "exa mple.org"], b"not a domain name"),
            (["--headers", "from:to;l=0"], b"not a list of field names"),
            (["--headers", "from:t o"], b"not a list of field names"),
            (["--now", "-5"], b"not a time"),
            (["--now", "1e12"], b"not a time"),
            (["--now", "nan"], b"not a time"),
        ):
            options = {"--domain": "example.org", "--selector": "s1", words[0]: words[1]}
            line = [word for pair in options.items() for word in pair]
            said = self.command("dkim", "sign", *line, "--key", str(self.key), str(self.message), code=2)
            self.assertIn(reason, said)

    def test_names_beyond_ascii_are_signed_in_a_labels(self) -> None:
        names = ("--domain", "BÜCHER.example", "--selector", "Süd")
        signed = self.command("dkim", "sign", *names, "--key", str(self.key), str(self.message))
        field = b" ".join(signed.partition(b"From:")[0].split())
        self.assertIn(b"d=xn--bcher-kva.example; s=xn--sd-xka;", field)
