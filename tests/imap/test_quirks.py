"""Profiles for mail programs with defects: who gets which, and what they change."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.quirks import OURS, QuirkTable, client_name, quirks_of
from tests.imap.conversation import USER, Client, Server
from tests.support.stores import fired
from tests.support.transcripts import FOLDER


def names(settings: dict[str, Any], fields: dict[str, str | None], **choices: Any) -> list[str]:
    """The names of the profiles for a client."""
    table = QuirkTable(ImapSettings(quirks=settings))
    return [quirk.name for quirk in table.chosen(client_name(fields) if fields else (), choices)]


class TableTests(SynchronousTestCase):
    """Which profiles a client gets."""

    def test_each_profile_of_ours_has_a_dialogue_and_a_reason(self) -> None:
        for quirk in OURS:
            self.assertTrue((FOLDER / "imap" / f"quirk_{quirk.name}.txt").exists(), quirk.name)
            self.assertTrue(quirk.why)

    def test_a_client_is_known_by_its_name_or_its_name_and_version(self) -> None:
        ours = {"old": {"clients": ["Mailer 1.*", "*Phone"], "hide": ["IDLE"]}}
        self.assertEqual(names(ours, {"name": "Mailer", "version": "1.9"}), ["old"])
        self.assertEqual(names(ours, {"NAME": "mailer", "Version": "1.9"}), ["old"])
        self.assertEqual(names(ours, {"name": "Mailer", "version": "2.0"}), [])
        self.assertEqual(names(ours, {"name": "A Phone", "version": None}), ["old"])
        self.assertEqual(names(ours, {"vendor": "A Phone"}), [])
        self.assertEqual(names(ours, {"name": "Microsoft Office 365", "version": "15"}), ["office365"])
        self.assertEqual(names(ours, {}), [])

    def test_an_account_has_its_own_choice(self) -> None:
        self.assertEqual(names({}, {}, office365="on"), ["office365"])
        self.assertEqual(names({}, {"name": "Microsoft Office 365"}, office365="off"), [])
        self.assertEqual(names({}, {"name": "Microsoft Office 365"}, gone="on"), ["office365"])

    def test_a_profile_of_the_settings_stands_in_for_ours(self) -> None:
        self.assertEqual(names({"office365": {}}, {"name": "Microsoft Office 365"}), [])
        self.assertEqual([quirk.name for quirk in quirks_of(ImapSettings(quirks={"b": {}}))], ["b", "office365"])

    def test_what_is_no_capability_is_refused(self) -> None:
        for wrong in ("A B", "", "*", "A\r\n", "x" * 101):
            with pytest.raises(ValidationError):
                ImapSettings.model_validate({"quirks": {"a": {"hide": [wrong]}}})

    def test_long_names_cost_little(self) -> None:
        name = client_name({"name": "x" * 10_000, "version": "y" * 10_000})
        self.assertLess(sum(map(len, name)), 1000)


class SessionTests(SynchronousTestCase):
    """What a profile changes."""

    def _client(self, **choices: Any) -> Client:
        profile = {"clients": ["Old"], "hide": ["AUTH=*", "IDLE", "qresync"], "add": ["XTRA", "MOVE"]}
        server = Server(quirks={"old": profile})
        for name, choice in choices.items():
            fired(
                server.store.directory.change_account_overrides(
                    USER, lambda old, n=name, c=choice: old.with_imap_quirk(n, c)
                )
            )
        return server.connect()

    def _capabilities(self, client: Client) -> list[str]:
        return client.command("CAPABILITY")[0].split(" ")[2:]

    def test_capabilities_are_hidden_and_added_and_cannot_be_enabled(self) -> None:
        client = self._client()
        client.output()
        client.command('ID ("name" "old")')
        before = self._capabilities(client)
        self.assertEqual([word for word in before if word.startswith("AUTH=") or word in {"IDLE", "XTRA"}], [])
        client.login()
        words = self._capabilities(client)
        self.assertEqual([words.count(word) for word in ("IDLE", "QRESYNC", "XTRA", "MOVE")], [0, 0, 1, 1])
        self.assertEqual(client.command("ENABLE QRESYNC CONDSTORE")[0], "* ENABLED CONDSTORE")

    def test_other_clients_are_not_touched(self) -> None:
        plain, quirky = Server().connect().login(), self._client().login()
        self.assertEqual(self._capabilities(plain), self._capabilities(quirky))

    def test_the_choice_of_an_account_holds_while_it_is_logged_in(self) -> None:
        client = self._client(old="on")
        self.assertIn("IDLE", client.output().decode())
        client.login()
        self.assertNotIn("IDLE", self._capabilities(client))
        client.command("UNAUTHENTICATE")
        self.assertIn("IDLE", self._capabilities(client))

    def test_an_account_may_choose_against_a_profile(self) -> None:
        client = self._client(old="off")
        client.output()
        client.command('ID ("name" "old")')
        client.login()
        self.assertIn("IDLE", self._capabilities(client))
