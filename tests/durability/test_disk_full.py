"""A full disk: refused clearly, nothing acknowledged and lost, and well again without a restart when there is room."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import MailboxView, imap, message, send, smtp
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


@pytest.mark.slow
class DiskFullTests(unittest.TestCase):
    """The server on a file system that fills up under it."""

    @acceptance("S049")
    def test_a_full_disk_refuses_loses_nothing_and_recovers(self) -> None:
        with small_disk(40) as folder, running(Server(folder, ["user0"])) as server:
            address = server.addresses[0]
            sender = smtp(server)
            accepted = []
            for number in range(400):
                if not send(sender, [address], message(f"t-{number}", _SIZE)):
                    break
                accepted.append(f"t-{number}")
            else:
                self.fail("400 messages fit on a disk of 40 MB")
            self.assertGreater(len(accepted), 10)
            with self.assertRaises(smtplib.SMTPDataError) as refused:
                sender.sendmail("a@elsewhere.test", [address], message("refused", _SIZE))
            self.assertEqual(refused.exception.smtp_code, 452)

            reader = imap(server, address)
            self.assertEqual(reader.append("INBOX", "", "", message("refused", _SIZE))[0], "NO")
            self.assertEqual(sorted(MailboxView(reader, "INBOX").tokens.values()), sorted(accepted))

            grow(folder, 120)
            self.assertTrue(send(sender, [address], message("after", _SIZE)))
            self.assertEqual(reader.append("INBOX", "", "", message("appended", _SIZE))[0], "OK")
            view = MailboxView(reader, "INBOX")
            self.assertEqual(sorted(view.tokens.values()), sorted([*accepted, "after", "appended"]))
