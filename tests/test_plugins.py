"""Plugins are found and made; those that are broken are named, and the others are there."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.policy import IPolicyFactory
from pymailsuite.plugins import PluginService, make_plugin, plugins_by_name
from tests.support.logs import captured_logs

GOOD = """
from pymailsuite.policy.plugin import PolicyPlugin

{name} = PolicyPlugin("{says}", "tests.test_plugins.make_it")
"""
NAMELESS = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from pymailsuite.interfaces.policy import IPolicyFactory

@implementer(IPlugin, IPolicyFactory)
class Nameless:
    pass

nameless = Nameless()
"""


class FindingTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        twisted.plugins.__path__.append(folder.name)
        self.addCleanup(twisted.plugins.__path__.remove, folder.name)

    def declare(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(text)
        self.addCleanup(sys.modules.pop, f"twisted.plugins.{module}", None)

    def find(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        with captured_logs() as events:
            found = plugins_by_name(IPolicyFactory)
        return found, [event for event in events if str(event.get("event")).startswith("plugins.")]

    def test_ours_and_others_are_found_in_one_way(self) -> None:
        self.declare("outside", GOOD.format(name="night", says="night"))
        found, told = self.find()
        self.assertEqual((found["night"].maker, told), ("tests.test_plugins.make_it", []))
        self.assertIn("spf", found)

    def test_of_two_with_one_name_ours_or_the_first_counts(self) -> None:
        self.declare("a_second", GOOD.format(name="spf", says="spf"))
        self.declare("b_third", GOOD.format(name="night", says="night"))
        self.declare("c_fourth", GOOD.format(name="other", says="night"))
        found, told = self.find()
        self.assertTrue(found["spf"].maker.startswith("pymailsuite."))
        self.assertEqual(
            [(one["event"], one["plugin"], one["module"]) for one in told],
            [
                ("plugins.name_taken", "spf", "twisted.plugins.a_second"),
                ("plugins.name_taken", "night", "twisted.plugins.c_fourth"),
            ],
        )

    def test_what_cannot_be_imported_is_named_and_hurts_nobody(self) -> None:
        self.declare("outside", GOOD.format(name="night", says="night"))
        self.declare("broken", "raise KeyError('defect')")
        self.declare("nameless", NAMELESS)
        found, told = self.find()
        self.assertIn("night", found)
        self.assertEqual(
            [(one["event"], one["module"]) for one in told],
            [("plugins.module_broken", "twisted.plugins.broken"), ("plugins.broken", "twisted.plugins.nameless")],
        )
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_what_breaks_once_it_is_remembered_is_named_too(self) -> None:
        self.declare("outside", GOOD.format(name="night", says="night"))
        self.find()
        sys.modules.pop("twisted.plugins.outside")
        path = self.folder / "outside.py"
        path.write_text("raise KeyError('defect')")
        os.utime(path, (1, 1))
        found, told = self.find()
        self.assertNotIn("night", found)
        self.assertEqual([(one["event"], one["plugin"]) for one in told], [("plugins.broken", "night")])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class MakingTests(SynchronousTestCase):
    def test_what_cannot_be_made_is_named_and_left_out(self) -> None:
        def broken(context: object) -> object:
            raise KeyError("defect")

        with captured_logs() as events:
            self.assertIsNone(make_plugin("night", broken, None))
        self.assertEqual([(one["event"], one["plugin"]) for one in events], [("plugins.not_made", "night")])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_wrong_settings_are_told(self) -> None:
        def wrong(context: object) -> object:
            raise ConfigError("night: no such hour")

        with self.assertRaises(ConfigError):
            make_plugin("night", wrong, None)


class _Failing(Service):
    """Starts and stops with a failure, at once or later."""

    def startService(self) -> None:
        raise ZeroDivisionError

    def stopService(self) -> Any:
        return fail(ZeroDivisionError())


class ServiceTests(SynchronousTestCase):
    def test_a_service_that_fails_is_named_and_the_others_start_and_stop(self) -> None:
        good, parts = Service(), MultiService()
        for name, service in (("bad", _Failing()), ("good", good), ("good", Service())):
            PluginService(name, service).setServiceParent(parts)
        with captured_logs() as events:
            parts.startService()
            self.assertTrue(good.running)
            self.successResultOf(parts.stopService())
        self.assertFalse(good.running)
        failed = [event["plugin"] for event in events if event.get("event") == "plugins.service_failed"]
        self.assertEqual(failed, ["bad", "bad"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
