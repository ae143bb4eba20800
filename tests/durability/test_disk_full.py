"""A full disk: refused clearly, nothing acknowledged and lost, and well again without a restart when there is room."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import smtplib
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import MailboxView, imap, message, send, smtp
from tests.durability.test_nodes import needs_postgres, postgres
from tests.support.server import Server, running

_SIZE = 300_000


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own that is soon full; SkipTest where none can be mounted."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise unittest.SkipTest("mounting a small file system needs root")
    folder = Path(tempfile.mkdtemp())
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    try:
        if mounted.returncode != 0:
            raise unittest.SkipTest("this machine does not let us mount a file system")
        yield folder
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def grow(folder: Path, megabytes: int) -> None:
    """Give the file system room."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(folder)], check=True)


def _long(token: str) -> bytes:
    """A message that no database makes shorter."""
    return message(token) + base64.encodebytes(os.urandom(_SIZE * 3 // 4)).replace(b"\n", b"\r\n")


@pytest.mark.slow
class DiskFullTests(unittest.TestCase):
    """The server on a file system that fills up under it."""

    @acceptance("S049")
    def test_a_full_disk_refuses_loses_nothing_and_recovers(self) -> None:
        with small_disk(40) as folder, running(Server(folder, ["user0"])) as server:
            self._fill_and_make_room(server, folder)

    @needs_postgres
    @acceptance("S049")
    def test_so_does_a_full_disk_under_the_tables_of_postgresql(self) -> None:
        # Its log is elsewhere, as its manual would have it: without room for that a PostgreSQL ends.
        with ExitStack() as stack:
            folder = stack.enter_context(small_disk(40))
            database = stack.enter_context(postgres())
            url = database.url(options=f"-cdefault_tablespace={database.make_tablespace(folder)}")
            own = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(running(Server(own, ["user0"], "--store", url)))
            self._fill_and_make_room(server, folder)

    def _fill_and_make_room(self, server: Server, folder: Path) -> None:
        address = server.addresses[0]
        sender = smtp(server)
        accepted = []
        for number in range(400):
            if not send(sender, [address], _long(f"t-{number}")):
                break
            accepted.append(f"t-{number}")
        else:
            self.fail("400 messages fit on a disk of 40 MB")
        self.assertGreater(len(accepted), 10)
        with self.assertRaises(smtplib.SMTPDataError) as refused:
            sender.sendmail("a@elsewhere.test", [address], _long("refused"))
        self.assertEqual(refused.exception.smtp_code, 452)

        reader = imap(server, address)
        self.assertEqual(reader.append("INBOX", "", "", _long("refused"))[0], "NO")
        self.assertEqual(sorted(MailboxView(reader, "INBOX").tokens.values()), sorted(accepted))

        grow(folder, 120)
        self.assertTrue(send(sender, [address], _long("after")))
        self.assertEqual(reader.append("INBOX", "", "", _long("appended"))[0], "OK")
        view = MailboxView(reader, "INBOX")
        self.assertEqual(sorted(view.tokens.values()), sorted([*accepted, "after", "appended"]))
