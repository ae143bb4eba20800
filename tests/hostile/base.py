"""One server for all tests, a client that says what it likes, and the question put after each attack:
does a normal client still get its answers, and is the log free of defects?"""

from __future__ import annotations

import atexit
import contextlib
import functools
import imaplib
import json
import os
import poplib
import re
import smtplib
import socket
import ssl
import tempfile
import time
import unittest
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.support.patience import PATIENCE_S
from tests.support.server import TunedServer, running

USER, OTHER = "ann", "bob"
SENDER = "stranger@elsewhere.test"
_DEFECT = re.compile(r"Traceback|connection\.failed|(?:smtp|imap|pop3)\.(?:command_)?failed|Unhandled")


class Wire:
    """A raw connection."""

    def __init__(self, port: int, *, greeted: bool = True, receive_buffer: int = 0, source: str = "") -> None:
        """``source`` is the address of loopback to come from."""
        self.socket = socket.socket()
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        self._held = b""
        if greeted:
            self.line()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go, without a word."""
        self.socket.close()

    def reset(self) -> None:
        """Vanish: the server sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, octets: bytes) -> bool:
        """Send all; False if the server has closed meanwhile."""
        try:
            self.socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def line(self) -> bytes:
        """The next line with its end; what there is if the connection ends before."""
        while b"\n" not in self._held:
            octets = self._receive()
            if not octets:
                break
            self._held += octets
        line, end, self._held = self._held.partition(b"\n")
        return line + end

    def reply(self) -> bytes:
        """An SMTP reply, all its lines."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"".join(lines)

    def say(self, line: bytes) -> bytes:
        """A command of SMTP or POP3 and its reply."""
        self.send(line + b"\r\n")
        return self.reply()

    def tagged(self, tag: bytes) -> bytes:
        """All lines up to the completion of an IMAP command, or the end of the connection."""
        lines = [self.line()]
        while lines[-1] and not lines[-1].startswith((tag + b" ", b"* BYE")):
            lines.append(self.line())
        return b"".join(lines)

    def obey(self, command: bytes) -> bytes:
        """An IMAP command without its tag, and its replies."""
        self.send(b"t " + command + b"\r\n")
        return self.tagged(b"t")

    def rest(self) -> bytes:
        """All that comes until the server closes; a failure if it does not in time."""
        held, self._held = [self._held], b""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            octets = self._receive()
            if not octets:
                return b"".join(held)
            held.append(octets)
        raise AssertionError("the connection does not end")

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def shut(self) -> None:
        """Send no more, but go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def start_tls(self) -> None:
        """Do the handshake. Octets that came before it are a failure: they would be read as if they came within."""
        assert not self._held, self._held
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)


@functools.cache
def _server_with(settings: str) -> TunedServer:
    """One server for all tests of all modules that want these settings (as JSON), until the run ends."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return stack.enter_context(running(TunedServer(folder / "server", [USER, OTHER], json.loads(settings))))


class HostileTestCase(unittest.TestCase):
    """A server with the accounts ann and bob, and a look at it after each test."""

    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # To whom nobody is trusted, strangers come from loopback too.
        # Strangers, but with nobody to ask in DNS: what is tried here has nothing to do with who they are.
        "smtp": {"trusted_networks": []},
        "policy": {"enabled": False},
        "submission": {"message_size": 200_000_000},
        # Pages of the database that are mapped would count as memory of the server, though it could do without them.
        "store": {"sqlite_mmap_size": 0},
    }
    server: ClassVar[TunedServer]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = _server_with(json.dumps(cls.settings))

    def setUp(self) -> None:
        self._log_begins = len(self.server.output)

    def tearDown(self) -> None:
        self.assert_serving()
        self.assert_clean_log()

    # --- clients

    @property
    def user(self) -> str:
        """The login name of the first account."""
        return self.server.addresses[0]

    @property
    def other(self) -> str:
        """The login name of the second account."""
        return self.server.addresses[1]

    def connect(self, standard: int, **options: Any) -> Wire:
        """To the port that stands for a standard one."""
        wire = Wire(self.server.port(standard), **options)
        self.addCleanup(wire.close)
        return wire

    def smtp(self) -> Wire:
        """After EHLO."""
        wire = self.connect(25)
        self.assertIn(b"250 ", wire.say(b"EHLO stranger.test"))
        return wire

    def smtp_data(self, recipient: str = "") -> Wire:
        """After 354."""
        wire = self.smtp()
        wire.say(b"MAIL FROM:<%b>" % SENDER.encode())
        wire.say(b"RCPT TO:<%b>" % (recipient or self.user).encode())
        self.assertEqual(wire.say(b"DATA")[:4], b"354 ")
        return wire

    def imap(self, **options: Any) -> Wire:
        """Logged in."""
        wire = self.connect(143, **options)
        self.assertIn(b"t OK", wire.obey(b"LOGIN %b test" % self.user.encode()))
        return wire

    def pop3(self) -> Wire:
        """Logged in."""
        wire = self.connect(110)
        wire.say(b"USER " + self.user.encode())
        self.assertEqual(wire.say(b"PASS test")[:3], b"+OK")
        return wire

    def new_mailbox(self) -> str:
        """A mailbox of the user's that holds nothing yet."""
        name = f"box-{time.monotonic_ns()}"
        self.assertIn(b"t OK", self.imap().obey(b"CREATE " + name.encode()))
        return name

    def append(self, mailbox: str, octets: bytes) -> bytes:
        """APPEND with a literal that does not wait; the completion."""
        wire = self.imap()
        wire.send(b"t APPEND %b {%d+}\r\n" % (mailbox.encode(), len(octets)) + octets + b"\r\n")
        return wire.tagged(b"t")

    # --- what must hold afterwards

    def assert_serving(self) -> None:
        """A normal client of each protocol gets its answers."""
        with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE_S) as client:
            client.sendmail(SENDER, [self.other], b"Subject: still there?\r\n\r\nYes.\r\n")
        with imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S) as reader:
            reader.login(self.other, "test")
            self.assertEqual(reader.select("INBOX")[0], "OK")
        maildrop = poplib.POP3("127.0.0.1", self.server.port(110), timeout=PATIENCE_S)
        maildrop.user(self.other)
        maildrop.pass_("test")
        maildrop.quit()

    def assert_clean_log(self) -> None:
        """No defect was logged."""
        found = [line for line in self.server.output[self._log_begins :] if _DEFECT.search(line)]
        self.assertEqual(found, [])

    def found(self, login: str, criterion: str) -> int:
        """How many messages of the INBOX meet a SEARCH, once all mail that is on its way has come."""
        mark = f"mark-{time.monotonic_ns()}"
        with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE_S) as client:
            client.sendmail(SENDER, [login], f"Subject: {mark}\r\n\r\n".encode())
        with imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S) as reader:
            reader.login(login, "test")
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                reader.select("INBOX", readonly=True)
                if reader.search(None, "SUBJECT", mark)[1][0]:
                    return len(reader.search(None, criterion)[1][0].split())
                time.sleep(0.05)
        raise AssertionError("mail does not come")

    def inbox_size(self, login: str) -> int:
        """How many messages there are."""
        with imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S) as reader:
            reader.login(login, "test")
            return int((reader.select("INBOX", readonly=True)[1][0] or b"0").decode())

    # --- memory

    def resident_kib(self, field: str = "VmRSS") -> int:
        """``VmRSS`` or the peak ``VmHWM`` of the server, in KiB."""
        found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{self.server.pid}/status").read_text(encoding="ascii"))
        assert found is not None
        return int(found[1])

    @contextlib.contextmanager
    def memory_grows_less_than(self, mib: float) -> Iterator[None]:
        """The server's peak within the block is at most that much above what it held before."""
        Path(f"/proc/{self.server.pid}/clear_refs").write_text("5", encoding="ascii")
        before = self.resident_kib()
        yield
        grown = (self.resident_kib("VmHWM") - before) / 1024
        self.assertLess(grown, mib, f"{grown:.1f} MiB more than the {before / 1024:.1f} before")

    def descriptors(self) -> int:
        """How many files and sockets the server holds open."""
        return len(os.listdir(f"/proc/{self.server.pid}/fd"))

    def assert_settles(self, most: int) -> None:
        """Before long the server holds no more than that many files and sockets."""
        deadline = time.monotonic() + PATIENCE_S
        while self.descriptors() > most:
            self.assertLess(time.monotonic(), deadline, f"{self.descriptors()} open, not {most}")
            time.sleep(0.05)
