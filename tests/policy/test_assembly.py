"""From settings and plugins to a chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer

from pymailsuite.config.loader import settings_from
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import ConfigError, MissingAbility
from pymailsuite.interfaces import IStateStore
from pymailsuite.interfaces.policy import (
    Decision,
    IPolicy,
    IPolicyFactory,
    IVerdictRecord,
    PolicyContext,
    Stage,
    Verdict,
)
from pymailsuite.policy.assembly import make_chain
from pymailsuite.policy.chain import PolicyChain
from pymailsuite.policy.plugin import PolicyPlugin
from tests.support.logs import captured_logs
from tests.support.policies import at, says
from tests.support.stores import Without, make_store

SERVER = {"hostname": "mail.example", "domains": ["example.org"], "data_dir": "/nowhere"}


@implementer(IPolicyFactory)
@frozen
class Factory:
    """Makes a policy that remembers its context."""

    name: str

    def make(self, context: PolicyContext) -> IPolicy:
        made: Any = says(self.name, mail=Verdict())
        made.context = context
        return made  # type: ignore[no-any-return]


@implementer(IPolicyFactory)
@frozen
class RecordingFactory:
    """Makes a policy by a function of its name."""

    name: str
    function: Any

    def make(self, context: PolicyContext) -> IPolicy:
        return self.function(self.name)  # type: ignore[no-any-return]


@implementer(IPolicyFactory)
@frozen
class StatefulFactory:
    """Makes a policy that keeps state."""

    name: str

    def make(self, context: PolicyContext) -> IPolicy:
        return says(context.state.name)


class AssemblyTests(SynchronousTestCase):
    """make_chain."""

    def make(self, *names: str, **tables: Any) -> PolicyChain | None:
        settings = settings_from({"server": SERVER, **tables}, Path("mail.toml"))
        store = make_store()
        return make_chain(settings, FakeResolver(), store, Clock(), factories=[Factory(name) for name in names])

    def names(self, *names: str, **tables: Any) -> list[str]:
        chain = self.make(*names, **tables)
        return [] if chain is None else [one.policy.name for one in chain.installed]

    def test_ours_are_wanted_and_others_once_they_have_a_section(self) -> None:
        self.assertEqual(self.names("night", "helo"), ["helo"])
        self.assertEqual(self.names("night", "helo", policy={"plugins": {"night": {}}}), ["helo", "night"])

    def test_what_policies_keep_is_kept_apart(self) -> None:
        chain = self.make("night", "day", policy={"plugins": {"night": {}, "day": {}}})
        assert chain is not None
        kept: dict[str, Any] = {one.policy.name: one.policy.context.state for one in chain.installed}  # type: ignore[attr-defined]
        for number, name in enumerate(kept):
            self.assertEqual(self.successResultOf(kept[name].add("192.0.2.1", 60, number + 1)), number + 1)

    def test_a_policy_that_the_store_cannot_carry_is_left_out_unless_it_is_asked_for(self) -> None:
        store: Any = Without(make_store(), IStateStore)

        def make(**tables: Any) -> PolicyChain | None:
            settings = settings_from({"server": SERVER, **tables}, Path("mail.toml"))
            factories = [RecordingFactory("helo", lambda name: says(name)), StatefulFactory("client_rates")]
            return make_chain(settings, FakeResolver(), store, Clock(), factories=factories)

        chain = make()
        assert chain is not None
        self.assertEqual([one.policy.name for one in chain.installed], ["helo"])
        with self.assertRaisesRegex(MissingAbility, "client_rates: this kind of store has no IStateStore"):
            make(client_rates={"action": "reject"})

    def test_the_order_is_the_settings_and_then_the_alphabet(self) -> None:
        order = {"order": ["iprev"]}
        self.assertEqual(self.names("sender_domain", "helo", "iprev", policy=order), ["iprev", "helo", "sender_domain"])

    def test_what_is_off_is_not_even_made(self) -> None:
        self.assertIsNone(self.make("helo", helo={"action": "off"}))
        self.assertIsNone(self.make("helo", policy={"enabled": False}))

    def test_a_plugin_gets_options_of_its_own(self) -> None:
        chain = self.make("night", policy={"plugins": {"night": {"limit": 20}}, "authserv_id": "example.org"})
        assert chain is not None
        context = chain.installed[0].policy.context
        self.assertEqual(context.section.model_extra, {"limit": 20})
        self.assertEqual((context.hostname, context.authserv_id), ("mail.example", "example.org"))

    def test_one_that_cannot_be_made_is_named_and_the_others_are_there(self) -> None:
        def broken(name: str) -> Any:
            raise KeyError("defect")

        settings = settings_from({"server": SERVER, "policy": {"plugins": {"night": {}}}}, Path("mail.toml"))
        store = make_store()
        factories = [RecordingFactory("night", broken), Factory("helo")]
        with captured_logs() as events:
            chain = make_chain(settings, FakeResolver(), store, Clock(), factories=factories)
        assert chain is not None
        self.assertEqual([one.policy.name for one in chain.installed], ["helo"])
        self.assertEqual([(one["event"], one["plugin"]) for one in events], [("plugins.not_made", "night")])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_policy_that_does_not_exist_is_told(self) -> None:
        for table, key in (
            ({"order": ["nihgt"]}, "policy.order"),
            ({"accept_except": ["nihgt"]}, "policy.accept_except"),
            ({"plugins": {"nihgt": {}}}, "policy.plugins"),
            ({"recipients": {"example.org": {"actions": {"nihgt": "off"}}}}, "policy.recipients.example.org.actions"),
        ):
            error = self.assertRaises(ConfigError, self.make, "night", policy=table)
            self.assertIn(f"{key}: no such policy: nihgt", str(error))

    def test_a_policy_that_keeps_a_record_is_told_of_decisions(self) -> None:
        told: list[tuple[str, Decision]] = []

        def recording(name: str) -> Any:
            made: Any = says(name, mail=Verdict())
            made.note = lambda transaction, decision: told.append((name, decision))
            directlyProvides(made, IPolicy, IVerdictRecord)
            return made

        factories = [Factory("night"), *(RecordingFactory(name, recording) for name in ("helo", "iprev"))]
        settings = settings_from({"server": SERVER}, Path("mail.toml"))
        store = make_store()
        record = recording("service")
        chain = make_chain(settings, FakeResolver(), store, Clock(), record, factories)
        assert chain is not None
        decision = self.successResultOf(chain.check(at(Stage.MAIL)))
        self.assertEqual(told, [("service", decision), ("helo", decision), ("iprev", decision)])

    def test_a_record_that_fails_is_named_and_nobody_else_is_hurt(self) -> None:
        told: list[Decision] = []

        def recording(name: str) -> Any:
            made: Any = says(name, mail=Verdict())
            made.note = lambda transaction, decision: told.append(decision) if name == "iprev" else 1 / 0
            directlyProvides(made, IPolicy, IVerdictRecord)
            return made

        factories = [RecordingFactory(name, recording) for name in ("helo", "iprev")]
        chain = make_chain(
            settings_from({"server": SERVER}, Path("mail.toml")), FakeResolver(), make_store(), Clock(), None, factories
        )
        assert chain is not None
        with captured_logs() as events:
            decision = self.successResultOf(chain.check(at(Stage.MAIL)))
        self.assertEqual((decision.refusal, told), (None, [decision]))
        failed = [event["policy"] for event in events if event.get("event") == "policy.record_failed"]
        self.assertEqual(failed, ["helo"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_plugin_names_the_function_that_makes_its_policy(self) -> None:
        plugin = PolicyPlugin("says", "tests.policy.test_assembly.make_one")
        context: Any = None
        self.assertEqual(plugin.make(context).name, "made")


def make_one(context: PolicyContext) -> Any:
    """For the plugin above."""
    return says("made")
