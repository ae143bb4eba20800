"""Lines of the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from twisted.python import log as legacy_log
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.log import LogSettings
from pymailsuite.server.logs import Descriptor, LogFile, log_observer


class RememberedLines:
    """A target that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, octets: bytes, now: float) -> None:
        self.lines += octets.decode().splitlines(keepends=True)


class LogCase(SynchronousTestCase):
    """Tests with a logger of their own."""

    def logger(self, **settings: str) -> tuple[Logger, list[str]]:
        target = RememberedLines()
        observer = log_observer(LogSettings.model_validate(settings), target)
        verifyObject(ILogObserver, observer)
        return Logger(namespace="pymailsuite.test", observer=LogPublisher(observer)), target.lines


class TextTests(LogCase):
    """``format = "text"``."""

    def test_a_line_has_time_level_and_message(self) -> None:
        log, lines = self.logger()
        log.info("{event} from {ip}", event="smtp.connected", ip="192.0.2.1")
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info smtp\.connected from 192\.0\.2\.1\n$")

    def test_what_a_peer_sent_cannot_forge_a_line(self) -> None:
        log, lines = self.logger()
        log.info(
            "{event} helo={helo}", event="smtp.greeted", helo="a\r\n2026-01-01T00:00:00.000Z info forged\x1b[2J\x85"
        )
        self.assertEqual(len(lines), 1)
        self.assertIn("a\\r\\n2026-01-01", lines[0])
        self.assertIn("forged\\x1b[2J\\x85", lines[0])

    def test_a_traceback_is_indented_below_its_line(self) -> None:
        log, lines = self.logger()
        try:
            raise ValueError("broken")
        except ValueError:
            log.failure("{event}", event="smtp.failed")
        self.assertIn(" critical smtp.failed", lines[0])
        self.assertTrue(all(line.startswith("    ") for line in lines[1:]))
        self.assertIn("ValueError: broken", lines[-1])

    def test_events_below_the_level_are_not_written(self) -> None:
        log, lines = self.logger(level="warn")
        log.info("quiet")
        log.warn("loud")
        self.assertEqual([line.split()[1:] for line in lines], [["warn", "loud"]])


class JsonTests(LogCase):
    """``format = "json"``."""

    def test_fields_are_members_of_the_object(self) -> None:
        log, lines = self.logger(format="json")
        log.info("{event} {queue_id}", event="smtp.accepted", queue_id="00A1", size=5, to=("a@b.test",), who=Path("x"))
        event = json.loads(lines[0])
        self.assertEqual(event["message"], "smtp.accepted 00A1")
        self.assertEqual(
            {name: event[name] for name in ("event", "queue_id", "size", "to", "who", "level", "namespace")},
            {
                "event": "smtp.accepted",
                "queue_id": "00A1",
                "size": 5,
                "to": ["a@b.test"],
                "who": "x",
                "level": "info",
                "namespace": "pymailsuite.test",
            },
        )

    def test_a_traceback_is_a_member(self) -> None:
        log, lines = self.logger(format="json")
        try:
            raise ValueError("broken")
        except ValueError:
            log.failure("{event}", event="smtp.failed")
        self.assertEqual(len(lines), 1)
        self.assertIn("ValueError: broken", json.loads(lines[0])["traceback"])

    def test_events_of_the_old_log_module_are_lines_too(self) -> None:
        target = RememberedLines()
        observer = log_observer(LogSettings(format="json"), target)
        publisher = legacy_log.LogPublisher(
            observerPublisher=LogPublisher(observer), publishPublisher=LogPublisher(observer)
        )
        publisher.msg("old style", extra=1)
        event = json.loads(target.lines[0])
        self.assertEqual((event["message"], event["extra"], event["level"]), ("old style", 1, "info"))


class LogFileTests(SynchronousTestCase):
    """Where lines go."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "logs" / "mail.log"

    def test_a_file_is_appended_to(self) -> None:
        LogFile(self.path).write(b"one\n", 1000.0)
        LogFile(self.path).write(b"two\n", 1000.0)
        self.assertEqual(self.path.read_bytes(), b"one\ntwo\n")

    def test_a_file_that_was_moved_away_is_opened_anew(self) -> None:
        log_file = LogFile(self.path)
        log_file.write(b"one\n", 1000.0)
        moved = self.path.rename(self.path.with_suffix(".1"))
        log_file.write(b"two\n", 1000.5)
        log_file.write(b"three\n", 1002.0)
        self.assertEqual(moved.read_bytes(), b"one\ntwo\n")
        self.assertEqual(self.path.read_bytes(), b"three\n")

    def test_a_new_file_has_the_mode_of_the_one_that_was_moved_away(self) -> None:
        log_file = LogFile(self.path)
        self.path.chmod(0o604)
        self.path.rename(self.path.with_suffix(".1"))
        log_file.write(b"one\n", 1000.0)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o604)
        # One that was made by whoever moved it keeps the mode it was given.
        self.path.unlink()
        self.path.touch(0o660)
        self.path.chmod(0o660)
        log_file.write(b"two\n", 1002.0)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o660)

    def test_a_log_is_not_for_everybody_to_read(self) -> None:
        LogFile(self.path)
        self.assertEqual(self.path.stat().st_mode & 0o007, 0)

    def test_a_descriptor_is_written_through(self) -> None:
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        Descriptor(writing).write(b"line\n", 1000.0)
        os.close(writing)
        self.assertEqual(os.read(reading, 100), b"line\n")

    def test_every_level_name_is_one_of_twisted(self) -> None:
        for level in ("debug", "info", "warn", "error", "critical"):
            self.assertIsNotNone(LogLevel.levelWithName(LogSettings.model_validate({"level": level}).level))


class SharedDescriptorTests(SynchronousTestCase):
    """Several processes write to one pipe."""

    def test_lines_longer_than_a_pipe_keeps_together_are_whole(self) -> None:
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        writer = (
            "import sys; from pymailsuite.server.logs import Descriptor; target = Descriptor(1, shared=True)\n"
            "for _ in range(30): target.write(sys.argv[1].encode() * 20000 + b'\\n', 0.0)"
        )
        children = [subprocess.Popen([sys.executable, "-c", writer, letter], stdout=writing) for letter in "abc"]
        os.close(writing)
        with open(reading, "rb", closefd=False) as lines:
            found = Counter(lines)
        for child in children:
            self.assertEqual(child.wait(60), 0)
        self.assertEqual(found, {letter * 20000 + b"\n": 30 for letter in (b"a", b"b", b"c")})
