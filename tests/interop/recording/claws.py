"""Claws Mail does a day's work: ``python -m tests.interop.recording claws``.

It has a window on a display that nobody sees, and is given keys and commands as by a person.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.interop.recording.work import Desk

_DISPLAY: Final = ":77"
_SETTLE_S: Final = 2.0
_INBOX: Final = "#imap/account/INBOX"
_ACCOUNT: Final = """[Account: 1]
account_name=account
is_default=1
name=Ann
address={address}
protocol=3
receive_server=127.0.0.1
smtp_server=127.0.0.1
user_id={address}
set_imapport=1
imap_port={imap}
set_smtpport=1
smtp_port={submission}
imap_auth_method=1
imap_subsonly=0
ssl_imap=0
ssl_smtp=0
use_smtp_auth=1
smtp_auth_method=16
set_domain=1
domain=example.test
"""
_FOLDERS: Final = """<?xml version="1.0" encoding="UTF-8"?>
<folderlist>
    <folder type="mh" name="Mailbox" path="{mail}">
        <folderitem type="inbox" name="inbox" path="inbox" />
        <folderitem type="outbox" name="sent" path="sent" />
        <folderitem type="draft" name="draft" path="draft" />
        <folderitem type="queue" name="queue" path="queue" />
        <folderitem type="trash" name="trash" path="trash" />
    </folder>
    <folder type="imap" name="account" account_id="1">
        <folderitem type="inbox" name="INBOX" path="INBOX" />
    </folder>
</folderlist>
"""


class _Window:
    """The program's main window, and its command line, which speaks to the running program."""

    def __init__(self, desk: Desk, configuration: Path) -> None:
        self._desk = desk
        self._configuration = configuration

    def order(self, *options: str) -> None:
        """Ask the running program for something, and give it time."""
        self._run("claws-mail", "--alternate-config-dir", str(self._configuration), *options)
        time.sleep(_SETTLE_S)

    def press(self, *keys: str) -> None:
        """Press keys in whatever window is in front."""
        for key in keys:
            self._run("xdotool", "key", key)
            time.sleep(_SETTLE_S)

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("xdotool", "type", text)

    def _run(self, *command: str) -> None:
        subprocess.run(command, env=self._desk.environment(DISPLAY=_DISPLAY), timeout=60, check=False)


@contextlib.contextmanager
def _display(desk: Desk) -> Iterator[None]:
    screen = ("Xvfb", _DISPLAY, "-screen", "0", "1280x1024x24", "-nolisten", "tcp")
    with desk.program(*screen) as server, desk.program("openbox", DISPLAY=_DISPLAY) as manager:
        time.sleep(_SETTLE_S)
        yield
        manager.terminate()
        server.terminate()


def work(desk: Desk) -> str:
    """Do it all; the version of the program."""
    configuration = desk.folder / "claws"
    mail = desk.folder / "Mail"
    for path in (configuration, *(mail / name for name in ("inbox", "sent", "draft", "queue", "trash"))):
        path.mkdir(parents=True)
    (configuration / "accountrc").write_text(_ACCOUNT.format(address=desk.address, **desk.ports))
    (configuration / "folderlist.xml").write_text(_FOLDERS.format(mail=mail))
    window = _Window(desk, configuration)
    with _display(desk):
        options = ("--alternate-config-dir", str(configuration))
        with desk.program("dbus-run-session", "--", "claws-mail", *options, DISPLAY=_DISPLAY, NO_AT_BRIDGE="1"):
            time.sleep(2 * _SETTLE_S)
            desk.say("log in and look at INBOX")
            window.order("--receive-all")
            window.type(desk.server.password)
            window.press("Tab", "space", "Return")
            desk.say("read a message with an attachment")
            window.order("--select", f"{_INBOX}/3")
            desk.say("flag it, and mark it as unread")
            window.press("asterisk", "exclam")
            desk.say("delete a message: it goes to the trash of this computer")
            window.order("--select", f"{_INBOX}/6")
            window.press("ctrl+d")
            desk.say("answer")
            letter = desk.folder / "letter"
            letter.write_text(f"To: bob@example.test\nFrom: {desk.address}\nSubject: Re: Meeting\n\nI shall come.\n")
            window.order("--compose-from-file", str(letter))
            window.press("ctrl+Return")
            window.type(desk.server.password)
            window.press("Return")
            for event in ("deliver Fresh", "flag 8", "delete 8"):
                desk.act(event)
                desk.say(f"look for news after: {event}")
                window.order("--receive-all")
            desk.say("offline and back")
            window.order("--offline")
            desk.act("deliver In the night")
            window.order("--online")
            window.order("--receive-all")
            window.order("--select", f"{_INBOX}/9")
            window.order("--exit")
    version = subprocess.run(["claws-mail", "--version"], check=True, capture_output=True, text=True)
    return version.stdout.strip().replace(" version", "")
