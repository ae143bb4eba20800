"""Dovecot in a process of its own, as the measure of what an IMAP client is used to."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

START_TIMEOUT_S = 20.0
MAIL_USER = "nobody"

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_home = {folder}/mail/%n
mail_location = sdbox:~/sdbox
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


def needs_dovecot(tested: type) -> type:
    """Skip a test case where Dovecot is not installed, or where it could not change to its users."""
    can_run = shutil.which("dovecot") is not None and os.geteuid() == 0
    return unittest.skipUnless(can_run, "needs dovecot, and to be root")(tested)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running_dovecot(password: str) -> Iterator[tuple[int, int]]:
    """Ports of IMAP and POP3 of a Dovecot that lets everybody in with ``password``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        mail = folder / "mail"
        mail.mkdir()
        shutil.chown(mail, MAIL_USER, grp.getgrgid(pwd.getpwnam(MAIL_USER).pw_gid).gr_name)
        imap, pop3 = _free_port(), _free_port()
        configuration = folder / "dovecot.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder, user=MAIL_USER, group=mail.group(), password=password, imap=imap, pop3=pop3
            )
        )
        process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(imap, folder / "log")
            yield imap, pop3
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise AssertionError("dovecot does not listen:\n" + log.read_text()) from None
            time.sleep(0.05)
