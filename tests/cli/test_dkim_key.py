"""``pymailsuite dkim key``: keys kept, published, activated and removed."""

from __future__ import annotations

from typing import Any

from pymailsuite.cli import dkim_key
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces import IMailStore
from pymailsuite.policy.dkim.private_keys import write_key_file
from tests.acceptance import acceptance
from tests.cli.base import CommandCase
from tests.policy.dkim.support import private_key


class KeyCommandTests(CommandCase):
    def add(self, selector: str, kind: str = "rsa") -> dict[str, Any]:
        file = self.folder / f"{selector}.pem"
        write_key_file(file, private_key(kind))
        told = self.answer("dkim", "key", "add", "--domain", "example.test", "--selector", selector, "--key", str(file))
        assert isinstance(told, dict)
        return told

    def publish(self, *selectors: str) -> None:
        text = private_key().record_text().encode()
        resolver = FakeResolver(txt={f"{each}._domainkey.example.test": [text] for each in selectors})
        self.patch(dkim_key, "_resolver", lambda settings: resolver)

    def states(self) -> dict[str, str]:
        return {row["selector"]: row["state"] for row in self.answer("dkim", "key", "list")}

    @acceptance("S194")
    def test_a_key_signs_once_it_is_published_and_activated_and_then_the_old_one_no_more(self) -> None:
        self.publish("s1", "s2")
        told = self.add("s1")
        self.assertEqual((told["state"], told["name"]), ("next", "s1._domainkey.example.test"))
        self.add("s2")
        self.add("e", "ed25519")
        activate = ("dkim", "key", "activate", "--domain", "example.test", "--selector")
        self.run_command(*activate, "e", "--unpublished")
        self.run_command(*activate, "s1")
        self.assertEqual(self.states(), {"e": "signs", "s1": "signs", "s2": "next"})
        self.assertIn("s2 signs for example.test", self.run_command(*activate, "s2").stdout)
        self.assertEqual(self.states(), {"e": "signs", "s1": "retired", "s2": "signs"})
        self.run_command("dkim", "key", "remove", "--domain", "example.test", "--selector", "s1")
        self.assertEqual(self.states(), {"e": "signs", "s2": "signs"})

    def test_a_key_that_is_not_published_is_not_activated(self) -> None:
        self.publish()
        self.add("s1")
        result = self.run_command("dkim", "key", "activate", "--domain", "example.test", "--selector", "s1", code=1)
        self.assertIn("does not have this key", result.output)
        self.assertEqual(self.states(), {"s1": "next"})

    def test_no_private_key_is_printed(self) -> None:
        self.add("s1")
        out = self.run_command("dkim", "key", "list").stdout + self.run_command("dkim", "key", "list", "--json").stdout
        self.assertIn("s1", out)
        self.assertNotIn("PRIVATE", out)

        async def stored(store: IMailStore) -> bytes:
            (found,) = await store.keys.keys()
            return bytes(found.private_key)

        self.assertIn(b"PRIVATE", self.on_store(stored))

    def test_a_new_key_is_made_and_its_record_printed(self) -> None:
        out = self.run_command(
            *("dkim", "key", "add", "--domain", "example.test", "--selector", "s1", "--algorithm", "ed25519")
        ).stdout
        self.assertIn('s1._domainkey.example.test. IN TXT ( "v=DKIM1; k=ed25519; p=', out)

    def test_what_is_not_there_is_said(self) -> None:
        self.publish()
        for verb in ("activate", "remove"):
            self.run_command("dkim", "key", verb, "--domain", "example.test", "--selector", "x", code=1)
        self.add("s1")
        self.run_command("dkim", "key", "add", "--domain", "example.test", "--selector", "s1", code=1)
