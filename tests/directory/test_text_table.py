"""The table of a text file, and how it follows the file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.tables import TableContext
from pymailsuite.directory.text_table import LineWrong, make_table, parse_table
from pymailsuite.errors import ConfigError, TemporaryFailure
from pymailsuite.interfaces.lookup import ILookupTable


class ParseTests(SynchronousTestCase):
    def test_lines_are_addresses_and_their_targets(self) -> None:
        text = """# The house.

            Sales@Example.org   ann@example.org, bob@far.example
            @bücher.example\tann@example.org
            # "team@example.org" is to come
            müller@bücher.example ann@example.org
        """
        self.assertEqual(
            parse_table(text, 2),
            {
                "sales@example.org": ("ann@example.org", "bob@far.example"),
                "@xn--bcher-kva.example": ("ann@example.org",),
                "müller@xn--bcher-kva.example": ("ann@example.org",),
            },
        )

    def test_a_wrong_line_is_told_by_its_number(self) -> None:
        for line, reason in (
            ("sales@example.org", "no target"),
            ("sales ann@example.org", "'sales' is not an address"),
            ("@ ann@example.org", "'@' is not an address"),
            ("sales@example.org ann", "'ann' is not an address"),
            ("sales@example.org ann@example.org,", "'' is not an address"),
            ("sales@example.org a@b.example, a@c.example, a@d.example", "more than 2 targets"),
            (f"sales@example.org {'x' * 250}@far.example", "254 octets"),
            ("ANN@example.org ann@example.org", "ann@example.org has had a line"),
        ):
            wrong = self.assertRaises(LineWrong, parse_table, f"ann@example.org b@c.example\n\n{line}\n", 2)
            self.assertEqual(wrong.line, 3)
            self.assertIn(reason, wrong.reason)


class TextTableTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "aliases")
        self.clock = Clock()
        self.threads: list[Deferred[Any]] = []
        self.write("sales@example.org ann@example.org\n")
        self.table = self.made(str(self.path))

    def made(self, argument: str) -> Any:
        return make_table(TableContext(DirectorySettings(table_reload=5), self.clock, self.in_thread, argument))

    def in_thread(self, call: Any, *arguments: Any) -> Deferred[Any]:
        # As soon as it is asked for, and told when the thread before has been.
        result = maybeDeferred(call, *arguments)
        if not self.threads:
            return result
        return self.threads.pop().addCallback(lambda _: result)

    def write(self, text: str) -> None:
        """In the place of what is there, with a time of its own however coarse the clock of the file system is."""
        new = self.path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        self.written = getattr(self, "written", 0) + 1
        os.utime(new, (self.written, self.written))
        new.replace(self.path)

    def start(self) -> None:
        (service,) = self.table.services
        service.startService()
        self.addCleanup(lambda: self.successResultOf(service.stopService()))

    def looked_up(self, key: str = "sales@example.org") -> Any:
        return self.successResultOf(maybeDeferred(self.table.lookup, key))

    def test_it_is_a_table(self) -> None:
        verifyObject(ILookupTable, self.table)

    def test_it_is_read_at_the_start_and_when_the_file_has_changed(self) -> None:
        self.start()
        self.assertEqual(self.table.lookup("sales@example.org"), ("ann@example.org",))
        self.assertIsNone(self.table.lookup("@example.org"))
        self.write("@example.org bob@example.org\n")
        self.assertEqual(self.table.lookup("sales@example.org"), ("ann@example.org",))
        with capturedLogs() as events:
            self.clock.pump([5, 5, 5])
        self.assertIsNone(self.table.lookup("sales@example.org"))
        self.assertEqual(self.table.lookup("@example.org"), ("bob@example.org",))
        self.assertEqual([(one["event"], one["count"]) for one in events], [("directory.table_read", 1)])

    def test_without_its_service_the_first_question_reads_it(self) -> None:
        self.assertEqual(self.looked_up(), ("ann@example.org",))

    def test_a_question_before_it_is_read_waits(self) -> None:
        reading: Deferred[None] = Deferred()
        self.threads.append(reading)
        self.start()
        asked = [maybeDeferred(self.table.lookup, key) for key in ("sales@example.org", "other@example.org")]
        for one in asked:
            self.assertNoResult(one)
        with capturedLogs() as events:
            reading.callback(None)
        self.assertEqual([self.successResultOf(one) for one in asked], [("ann@example.org",), None])
        self.assertEqual(len(events), 1)

    def test_a_wrong_line_leaves_the_old_table_in_force(self) -> None:
        self.start()
        self.write("sales@example.org bob@example.org\nbroken\n")
        with capturedLogs() as events:
            self.clock.pump([5, 5])
        self.assertEqual(self.looked_up(), ("ann@example.org",))
        (event,) = events
        self.assertEqual(
            (event["event"], event["file"], event["line"]), ("directory.table_line_wrong", str(self.path), 2)
        )
        self.write("sales@example.org bob@example.org\n")
        self.clock.pump([5])
        self.assertEqual(self.looked_up(), ("bob@example.org",))

    def test_a_file_that_is_gone_leaves_the_old_table_in_force(self) -> None:
        self.start()
        self.path.unlink()
        with capturedLogs() as events:
            self.clock.pump([5, 5, 5])
        self.assertEqual([one["event"] for one in events], ["directory.table_unreadable"])
        self.assertEqual(self.looked_up(), ("ann@example.org",))
        self.path.write_bytes(b"\xff\xfe")
        with capturedLogs() as events:
            self.clock.pump([5, 5, 5])
        self.assertEqual([one["event"] for one in events], ["directory.table_unreadable"])
        self.write("sales@example.org bob@example.org\n")
        self.clock.pump([5])
        self.assertEqual(self.looked_up(), ("bob@example.org",))

    def test_what_was_never_read_well_knows_nothing_and_denies_nothing(self) -> None:
        self.write("broken\n")
        self.start()
        failure = self.failureResultOf(maybeDeferred(self.table.lookup, "sales@example.org"), TemporaryFailure)
        self.assertIn(str(self.path), failure.value.cause)
        self.write("sales@example.org bob@example.org\n")
        self.assertEqual(self.looked_up(), ("bob@example.org",))

    def test_a_file_that_is_not_there_is_a_fault_of_the_settings(self) -> None:
        for argument in (str(self.path.parent), str(self.path) + ".gone"):
            error = self.assertRaises(ConfigError, self.made, argument)
            self.assertIn(f"there is no file {argument!r}", error.public)
        for argument in ("", "aliases"):
            error = self.assertRaises(ConfigError, self.made, argument)
            self.assertIn(f"{argument!r} is not an absolute path", error.public)
