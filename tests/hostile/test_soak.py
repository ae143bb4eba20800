"""A while of everything at once: what the server holds does not grow.

PYMAILSUITE_SOAK_S=600 goes on for longer.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import poplib
import smtplib
import threading
import time
from collections.abc import Callable

import pytest

from tests.acceptance import acceptance
from tests.hostile.base import HostileTestCase
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_SECONDS = float(os.environ.get("PYMAILSUITE_SOAK_S", "12"))
_SETTLE_S = 5.0
_MARGIN_MIB = 12
_BODY = b"Subject: soak\r\n\r\n" + b"0123456789" * 7 + b"\r\n"


class SoakTests(HostileTestCase):
    """Logins, mail, reading and waiting, each over and over on connections of their own."""

    settings = {
        **HostileTestCase.settings,
        # The page caches fill for minutes before they are full; small ones are full at once.
        "store": {"sqlite_mmap_size": 0, "sqlite_cache_size": 1_000_000},
    }

    def _send(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE_S) as client:
            client.sendmail("a@elsewhere.test", [self.user], _BODY * 20)

    def _read(self) -> None:
        with imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S) as client:
            client.login(self.user, "test")
            count = int((client.select("INBOX")[1][0] or b"0").decode())
            if not count:
                return
            client.fetch("1:*", "(FLAGS ENVELOPE BODYSTRUCTURE)")
            client.fetch("1", "(BODY[])")
            client.search(None, "TEXT", "soak")
            # The mailbox shall not be what grows.
            client.store(f"1:{count}", "+FLAGS", r"(\Deleted)")
            client.expunge()

    def _retrieve(self) -> None:
        client = poplib.POP3("127.0.0.1", self.server.port(110), timeout=PATIENCE_S)
        client.user(self.other)
        client.pass_("test")
        client.list()
        client.quit()

    def _idle(self) -> None:
        wire = self.imap()
        with contextlib.closing(wire):
            wire.obey(b"SELECT INBOX")
            wire.send(b"t IDLE\r\n")
            wire.line()
            time.sleep(0.2)
            wire.send(b"DONE\r\n")
            wire.tagged(b"t")

    @acceptance("S208")
    def test_memory_and_descriptors_stay_flat(self) -> None:
        open_before = self.descriptors()
        over = threading.Event()
        failures: list[Exception] = []
        turns = [0]

        def repeat(act: Callable[[], None]) -> None:
            while not over.is_set():
                try:
                    act()
                except Exception as error:
                    failures.append(error)
                    return
                turns[0] += 1

        threads = [threading.Thread(target=repeat, args=(act,)) for act in (self._send, self._read, self._idle)]
        threads += [threading.Thread(target=repeat, args=(act,)) for act in (self._retrieve, self._send, self._idle)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(max(_SECONDS / 3, _SETTLE_S))
            first = self.resident_kib()
            time.sleep(_SECONDS * 2 / 3)
            last = self.resident_kib()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(turns[0], 30)
        self.assertLess((last - first) / 1024, _MARGIN_MIB, f"{first} KiB, then {last}")
        # The store's readers open their files when they are first needed.
        self.assert_settles(open_before + 12)
