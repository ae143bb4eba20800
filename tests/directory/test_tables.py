"""Lookup tables: what they say of addresses that the store does not know, and what becomes of their faults."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory import AliasLoop, RecipientResolver
from pymailsuite.directory.alias_check import AliasCheck
from pymailsuite.directory.roles import RoleAddresses
from pymailsuite.directory.tables import LookupTable, LookupTablePlugin, TableContext, make_tables
from pymailsuite.errors import ConfigError, NoSuchUser, StoreUnavailable, TemporaryFailure
from pymailsuite.interfaces import LocalRecipient, RemoteRecipient
from pymailsuite.interfaces.lookup import ILookupTable, ILookupTableFactory
from pymailsuite.plugins import plugins_by_name
from tests.support.directory import MemoryDirectory, address_of
from tests.support.tables import FakeTable, lookup_tables


class TableCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.directory = (
            MemoryDirectory()
            .with_domain("mail.example")
            .with_account("ann@mail.example")
            .with_account("bob@mail.example")
            .with_alias("sales@mail.example", "bob@mail.example")
            .with_account("gone@mail.example", enabled=False)
        )
        self.table = FakeTable({})
        self.configure(first=self.table)

    def configure(self, settings: Any = None, **tables: Any) -> None:
        self.settings = DirectorySettings(**(settings or {}))
        self.tables = lookup_tables(self.clock, self.settings, **tables)
        self.resolver = RecipientResolver(self.settings, self.directory, self.clock, RoleAddresses(), self.tables)

    def names(self, text: str) -> list[str]:
        resolved = self.successResultOf(self.resolver.resolve(address_of(text)))
        return [one.login_name if isinstance(one, LocalRecipient) else str(one.address) for one in resolved]

    def refused(self, text: str, error: type[Exception]) -> Any:
        return self.failureResultOf(self.resolver.resolve(address_of(text)), error).value


class OrderTests(TableCase):
    def test_an_address_that_the_store_does_not_know_is_looked_up(self) -> None:
        self.table.values["team@mail.example"] = ["ann@mail.example", "Sales@Mail.example", "x@far.example"]
        self.assertEqual(self.names("Team@mail.example"), ["ann@mail.example", "bob@mail.example", "x@far.example"])
        self.assertEqual(self.table.asked, ["team@mail.example"])

    def test_what_no_table_knows_is_unknown(self) -> None:
        self.refused("nobody@mail.example", NoSuchUser)
        self.table.values["none@mail.example"] = []
        self.refused("none@mail.example", NoSuchUser)

    def test_a_table_may_answer_later_in_any_way(self) -> None:
        async def coroutine() -> tuple[str, ...]:
            return ("bob@mail.example",)

        self.table.values = {"a@mail.example": lambda: succeed(["ann@mail.example"]), "b@mail.example": coroutine}
        self.assertEqual(self.names("a@mail.example"), ["ann@mail.example"])
        self.assertEqual(self.names("b@mail.example"), ["bob@mail.example"])
        waiting: Deferred[list[str]] = Deferred()
        self.table.values["c@mail.example"] = lambda: waiting
        resolving = self.resolver.resolve(address_of("c@mail.example"))
        self.assertNoResult(resolving)
        waiting.callback(["x@far.example"])
        self.assertEqual(self.successResultOf(resolving), (RemoteRecipient(address_of("x@far.example")),))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_store_goes_first_and_asks_no_table(self) -> None:
        self.table.values["@mail.example"] = ["x@far.example"]
        for text, names in (
            ("ann@mail.example", ["ann@mail.example"]),
            ("sales@mail.example", ["bob@mail.example"]),
            ("ann+detail@mail.example", ["ann@mail.example"]),
            ("someone@far.example", ["someone@far.example"]),
        ):
            self.assertEqual(self.names(text), names)
        self.refused("gone@mail.example", NoSuchUser)
        self.assertEqual(self.table.asked, [])

    def test_the_catch_all_of_the_domain_comes_last(self) -> None:
        self.directory.with_domain("mail.example", catch_all="ann@mail.example")
        self.table.values["team@mail.example"] = ["bob@mail.example"]
        self.assertEqual(self.names("team@mail.example"), ["bob@mail.example"])
        self.assertEqual(self.names("other@mail.example"), ["ann@mail.example"])
        self.clock.advance(60)
        self.table.values["@mail.example"] = ["bob@mail.example"]
        self.assertEqual(self.names("other@mail.example"), ["bob@mail.example"])

    def test_whole_addresses_go_before_details_and_those_before_domains_in_whatever_table(self) -> None:
        second = FakeTable({"a+b@mail.example": ["ann@mail.example"], "c@mail.example": ["bob@mail.example"]})
        self.table.values = {"@mail.example": ["x@far.example"]}
        self.configure(first=self.table, second=second)
        self.assertEqual(self.names("a+b@mail.example"), ["ann@mail.example"])
        self.assertEqual(self.names("c+d@mail.example"), ["bob@mail.example"])
        self.assertEqual(self.names("e+f@mail.example"), ["x@far.example"])
        self.assertEqual(self.table.asked[-3:], ["e+f@mail.example", "e@mail.example", "@mail.example"])
        self.table.values["c@mail.example"] = ["ann@mail.example"]
        self.clock.advance(60)
        self.assertEqual(self.names("c@mail.example"), ["ann@mail.example"])

    def test_a_role_may_be_in_a_table_but_is_not_caught_by_it(self) -> None:
        self.table.values["@mail.example"] = ["x@far.example"]
        self.assertEqual(self.names("postmaster@mail.example"), ["ann@mail.example"])
        self.table.values["abuse@mail.example"] = ["bob@mail.example"]
        self.assertEqual(self.names("abuse@mail.example"), ["bob@mail.example"])
        self.clock.advance(60)
        self.table.values["abuse@mail.example"] = ["nobody@mail.example"]
        del self.table.values["@mail.example"]
        self.assertEqual(self.names("abuse@mail.example"), ["ann@mail.example"])

    def test_keys_have_one_form(self) -> None:
        self.directory.with_domain("bücher.example")
        self.refused("Müller@Bücher.example", NoSuchUser)
        self.refused("a b@mail.example", NoSuchUser)
        self.assertEqual(
            self.table.asked,
            ["müller@xn--bcher-kva.example", "@xn--bcher-kva.example", '"a b"@mail.example', "@mail.example"],
        )

    def test_tables_and_aliases_lead_to_one_another_within_the_limits(self) -> None:
        self.directory.with_alias("a@mail.example", "b@mail.example")
        self.table.values = {"b@mail.example": ["a@mail.example"], "self@mail.example": ["Self@mail.example"]}
        for text in ("a@mail.example", "b@mail.example", "self@mail.example"):
            self.assertEqual(self.refused(text, AliasLoop).enhanced_code, "5.4.6")
        numbers = iter(range(100_000))
        self.table.values = {"@mail.example": lambda: [f"n{next(numbers)}@mail.example"]}
        self.configure({"table_cache_life": 0}, first=self.table)
        self.table.asked.clear()
        self.refused("n@mail.example", AliasLoop)
        self.assertLess(len(self.table.asked), 2 * (self.settings.max_alias_depth + 2))


class FaultTests(TableCase):
    def test_a_fault_of_a_table_is_temporary_and_logged_by_its_name(self) -> None:
        def raises() -> None:
            raise KeyError("lost")

        for answer, reason in (
            (raises, "lost"),
            (lambda: fail(StoreUnavailable()), "Mail store unavailable"),
            (lambda: fail(NoSuchUser()), "unknown user"),
            ("ann@mail.example", "a str"),
            ({"ann@mail.example"}, "a set"),
            ([b"ann@mail.example"], "bytes"),
            (["ann"], "not an address"),
            (["ann@mail.example", 'a"\r\nRCPT TO:<x@far.example'], "not an address"),
            (["x" * 250 + "@far.example"], "254 octets"),
            (["ann@mail.example"] * 4, "4 values"),
        ):
            self.table.values = {"a@mail.example": answer}
            self.configure({"max_alias_targets": 3}, first=self.table)
            with capturedLogs() as events:
                error = self.refused("a@mail.example", TemporaryFailure)
            self.flushLoggedErrors()
            self.assertEqual((error.smtp_code, error.enhanced_code), (451, "4.3.0"))
            self.assertIn("first", error.cause)
            (event,) = [one for one in events if one.get("event") == "directory.table_failed"]
            self.assertEqual((event["table"], event["address"]), ("first", "a@mail.example"))
            self.assertIn(reason, event["reason"])

    def test_a_table_that_hangs_is_waited_for_no_longer_than_the_setting_says(self) -> None:
        cancelled: list[Any] = []
        self.table.values["a@mail.example"] = lambda: Deferred(cancelled.append)
        self.configure({"table_timeout": 3}, first=self.table, second=FakeTable({"a@mail.example": ["x@far.example"]}))
        resolving = self.resolver.resolve(address_of("a@mail.example"))
        self.clock.advance(2.9)
        self.assertNoResult(resolving)
        with capturedLogs() as events:
            self.clock.advance(0.2)
        self.failureResultOf(resolving, TemporaryFailure)
        self.assertEqual(len(cancelled), 1)
        self.assertEqual([one["reason"] for one in events], ["no answer in 3 seconds"])

    def test_a_client_that_leaves_calls_the_question_off(self) -> None:
        cancelled: list[Any] = []
        self.table.values["a@mail.example"] = lambda: Deferred(cancelled.append)
        resolving = self.resolver.resolve(address_of("a@mail.example"))
        resolving.cancel()
        self.failureResultOf(resolving, CancelledError)
        self.assertEqual((len(cancelled), self.clock.getDelayedCalls()), (1, []))

    def test_users_of_the_store_get_their_mail_meanwhile(self) -> None:
        self.table.values["x@mail.example"] = lambda: fail(StoreUnavailable())
        self.refused("x@mail.example", TemporaryFailure)
        self.assertEqual(self.names("ann@mail.example"), ["ann@mail.example"])
        self.directory.with_alias("both@mail.example", "ann@mail.example", "x@mail.example")
        self.refused("both@mail.example", TemporaryFailure)


class MemoryTests(TableCase):
    def test_answers_are_remembered_for_a_time_and_failures_are_not(self) -> None:
        self.configure({"table_cache_life": 30, "cache_life": 0}, first=self.table)
        self.table.values = {"a@mail.example": ["ann@mail.example"], "b@mail.example": lambda: fail(StoreUnavailable())}
        for _ in range(3):
            self.names("a@mail.example")
            self.refused("c@mail.example", NoSuchUser)
            self.refused("b@mail.example", TemporaryFailure)
        self.assertEqual(self.table.asked.count("a@mail.example"), 1)
        self.assertEqual(self.table.asked.count("c@mail.example"), 1)
        self.assertEqual(self.table.asked.count("b@mail.example"), 3)
        self.clock.advance(30)
        self.names("a@mail.example")
        self.assertEqual(self.table.asked.count("a@mail.example"), 2)

    def test_addresses_that_are_remembered_are_bounded(self) -> None:
        self.configure({"table_cache_entries": 3, "cache_life": 0}, first=self.table)
        self.table.values = {f"{name}@mail.example": ["ann@mail.example"] * 2 for name in "ab"}
        for name in "aabab":
            self.names(f"{name}@mail.example")
        self.assertEqual([key[0] for key in self.table.asked], ["a", "b", "a", "b"])


class _WithService(LookupTable):
    def __init__(self, context: TableContext) -> None:
        self.argument = context.argument
        self.service = Service()  # type: ignore[no-untyped-call]
        self.service.setName("reader")  # type: ignore[no-untyped-call]
        self.services = (self.service,)

    def lookup(self, key: str) -> list[str]:
        return [f"{self.argument}@far.example"]


class MakingTests(SynchronousTestCase):
    def made(self, *descriptions: str, **makers: Any) -> Any:
        class Factory:
            def __init__(self, make: Any) -> None:
                self.make = make

        settings = DirectorySettings(tables=descriptions)
        context = TableContext(settings, Clock(), lambda call, *arguments: succeed(call(*arguments)))
        return make_tables(context, {name: Factory(make) for name, make in makers.items()})  # type: ignore[misc]

    def test_none_are_made_unless_the_settings_name_some(self) -> None:
        self.assertIsNone(self.made(mine=_WithService))

    def test_each_has_its_argument_and_its_services(self) -> None:
        made: list[_WithService] = []

        def make(context: TableContext) -> _WithService:
            made.append(_WithService(context))
            return made[-1]

        tables = self.made("mine:a:b", "mine", mine=make)
        self.assertEqual([one.argument for one in made], ["a:b", ""])
        for service in tables.services:
            service.startService()
        self.assertEqual([one.service.running for one in made], [1, 1])
        for service in tables.services:
            self.successResultOf(service.stopService())
        self.assertEqual([one.service.running for one in made], [0, 0])
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(tables.targets(address_of("x@mail.example")))),
            (address_of("a:b@far.example"),),
        )

    def test_what_cannot_be_made_is_a_fault_of_the_settings(self) -> None:
        def breaks(context: TableContext) -> None:
            raise OSError("no route")

        def wrong(context: TableContext) -> object:
            return object()

        def refuses(context: TableContext) -> None:
            raise ConfigError("directory.tables: no such thing")

        for make, text in ((breaks, "'mine:x' cannot be made: OSError('no route')"), (wrong, "cannot be made")):
            self.assertIn(text, self.assertRaises(ConfigError, self.made, "mine:x", mine=make).public)
        error = self.assertRaises(ConfigError, self.made, "mine:x", mine=refuses)
        self.assertEqual(error.public, "directory.tables: no such thing")
        error = self.assertRaises(ConfigError, self.made, "yours:x", mine=refuses, other=refuses)
        self.assertEqual(error.public, "directory.tables: there is no kind of table 'yours'; there are: mine, other")

    def test_ours_is_a_plugin(self) -> None:
        text = plugins_by_name(ILookupTableFactory)["text"]
        self.assertIsInstance(text, LookupTablePlugin)
        verifyObject(ILookupTableFactory, text)
        verifyObject(ILookupTable, FakeTable({}))


class AliasCheckTests(TableCase):
    """The commands on aliases see what the resolver would."""

    def faults(self, alias: str, *targets: str) -> list[str]:
        check = AliasCheck(self.settings, self.directory, RoleAddresses(), self.tables)
        found = Deferred.fromCoroutine(check.alias_faults(address_of(alias), [*map(address_of, targets)]))
        return [fault.text for fault in self.successResultOf(found)]

    def test_targets_that_a_table_knows_exist(self) -> None:
        self.table.values["team@mail.example"] = ["ann@mail.example"]
        self.assertEqual(self.faults("a@mail.example", "team@mail.example", "team+x@mail.example"), [])
        self.assertEqual(self.faults("a@mail.example", "b@mail.example"), ["there is no b@mail.example"])

    def test_a_circle_through_a_table_is_found(self) -> None:
        self.table.values["team@mail.example"] = ["a@mail.example"]
        (fault,) = self.faults("a@mail.example", "team@mail.example")
        self.assertIn("in a circle", fault)

    def test_a_table_that_is_away_leaves_it_open(self) -> None:
        self.table.values["team@mail.example"] = lambda: fail(StoreUnavailable())
        (fault,) = self.faults("a@mail.example", "team@mail.example")
        self.assertIn("it cannot be told whether there is team@mail.example: lookup table first", fault)
