"""``pymailsuite demo``: starts a server, sends a message through it, reads it back, and shows what was said.

The clients are those of the standard library, so it shows what any client sees.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import imaplib
import itertools
import os
import poplib
import re
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import click

from pymailsuite.cli.dev import STANDARD_PORTS, SampleAccount, free_port_base

_HOST: Final = "127.0.0.1"
_READY_TIMEOUT_S: Final = 60.0
_CLIENT_TIMEOUT_S: Final = 30.0
_SENDER: Final = SampleAccount("alice@example.test", "wonderland")
_RECEIVER: Final = SampleAccount("bob@example.test", "builder")

_SUBJECT: Final = "Grüße: première lettre ✉"
_ATTACHMENT: Final = bytes(range(256)) * 16

_SECRETS: Final = re.compile(rb"(AUTH PLAIN|LOGIN \S+|PASS) .+", re.IGNORECASE)


class DemoFailed(Exception):
    """Something was not as it should be."""


def demo_port_base() -> int:
    """A number N for which every N + standard port is free on loopback just now. DemoFailed if there is none."""
    # Below the ports the system gives to clients; from a start of our own, so that two demonstrations rarely meet.
    bases = range(10_000, 31_000, 100)
    start = os.getpid() % len(bases)
    base = free_port_base(itertools.chain(bases[start:], bases[:start]))
    if base is None:
        raise DemoFailed("no free ports")
    return base


@contextlib.contextmanager
def running_server(directory: Path, port_base: int) -> Iterator[None]:
    """``pymailsuite dev`` in a process of its own, ready. DemoFailed with its log if it does not come up."""
    command = [sys.executable, "-m", "pymailsuite", "dev", "--dir", str(directory), "--port-base", str(port_base)]
    command += ["--log", "-"]
    for account in (_SENDER, _RECEIVER):
        command += ["--account", f"{account.login_name}:{account.password}"]
    server_log = directory / "log"
    with server_log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr)  # noqa: S603
    watchdog = threading.Timer(_READY_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        if not any(line == b"ready\n" for line in process.stdout):
            raise DemoFailed("the server did not get ready:\n" + server_log.read_text("utf-8", "replace"))
        watchdog.cancel()
        yield
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(_READY_TIMEOUT_S)
        assert process.stdout is not None
        process.stdout.close()


def client_context() -> ssl.SSLContext:
    """TLS that takes the self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# --- clients that show what is said ---------------------------------------------------------------------------------


class Dialogue:
    """Prints both sides line by line; passwords are left out, and long texts cut."""

    _LONGEST: Final = 100
    _LINES_SHOWN: Final = 12

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._server_lines = 0

    def client(self, octets: bytes) -> None:
        """The client says this."""
        self._server_lines = 0
        lines = _SECRETS.sub(rb"\1 ***", octets).rstrip(b"\r\n").split(b"\r\n")
        for line in lines[: self._LINES_SHOWN]:
            self._print("C", line)
        if len(lines) > self._LINES_SHOWN:
            self._print("C", b"[%d octets in all]" % len(octets))

    def server(self, octets: bytes) -> None:
        """The server says this."""
        self._server_lines += 1
        if self._server_lines <= self._LINES_SHOWN:
            self._print("S", octets.rstrip(b"\r\n"))
        elif self._server_lines == self._LINES_SHOWN + 1:
            self._print("S", b"[...]")

    def _print(self, side: str, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        shown = text if len(text) <= self._LONGEST else text[: self._LONGEST] + "[...]"
        click.echo(f"{self._protocol:<5}{side}: {shown}")


class ShownSmtp(smtplib.SMTP_SSL):
    """SMTP over TLS, shown."""

    def __init__(self, port: int) -> None:
        self._dialogue = Dialogue("SMTP")
        super().__init__(_HOST, port, "demo.example.test", timeout=_CLIENT_TIMEOUT_S, context=client_context())

    def send(self, s: Any) -> None:
        self._dialogue.client(s.encode("ascii") if isinstance(s, str) else bytes(s))
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()
        for line in text.split(b"\n"):
            self._dialogue.server(b"%d %b" % (code, line))
        return code, text


class ShownImap(imaplib.IMAP4_SSL):
    """IMAP over TLS, shown, with IDLE (which the standard library learnt in Python 3.14 only)."""

    def __init__(self, port: int) -> None:
        self._dialogue = Dialogue("IMAP")
        super().__init__(_HOST, port, ssl_context=client_context(), timeout=_CLIENT_TIMEOUT_S)

    def send(self, data: Any) -> None:
        self._dialogue.client(bytes(data))
        super().send(data)

    def readline(self) -> bytes:
        line = super().readline()
        self._dialogue.server(line)
        return line

    def begin_idle(self) -> None:
        """Until the server says that it will tell."""
        self.send(b"IDLE1 IDLE\r\n")
        while not self.readline().startswith(b"+"):
            pass

    def wait_for(self, word: bytes) -> None:
        """In IDLE: until the server says something with this word."""
        while word not in self.readline():
            pass

    def end_idle(self) -> None:
        """Back to commands."""
        self.send(b"DONE\r\n")
        self.wait_for(b"IDLE1 OK")


class ShownPop3(poplib.POP3_SSL):
    """POP3 over TLS, shown."""

    def __init__(self, port: int) -> None:
        self._dialogue = Dialogue("POP3")
        super().__init__(_HOST, port, context=client_context(), timeout=_CLIENT_TIMEOUT_S)

    def _putline(self, line: bytes) -> None:
        self._dialogue.client(line)
        super()._putline(line)  # type: ignore[misc]

    def _getline(self) -> tuple[bytes, int]:
        line, octets = super()._getline()  # type: ignore[misc]
        self._dialogue.server(line)
        return line, octets


# --- the demonstration ----------------------------------------------------------------------------------------------


def sample_message() -> bytes:
    """A message with a subject beyond ASCII and an attachment of every octet there is."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = _SENDER.login_name
    message["To"] = _RECEIVER.login_name
    message["Subject"] = _SUBJECT
    message.set_content("Hello Bob,\n\nall octets are in the attachment.\n.\n.. and dots are no trouble.\n")
    message.add_attachment(_ATTACHMENT, maintype="application", subtype="octet-stream", filename="öctets.bin")
    return message.as_bytes()


def check(is_so: bool, what: str) -> None:
    """Say that something is as it should be. DemoFailed if it is not."""
    if not is_so:
        raise DemoFailed(f"not so: {what}")
    click.secho(f"ok   {what}", fg="green")


def demonstrate(port_base: int) -> None:
    """The dialogue with the server at these ports."""
    ports = {service: port_base + port for service, port in STANDARD_PORTS.items()}
    sent = sample_message()

    with ShownImap(ports["imaps"]) as imap:
        imap.login(_RECEIVER.login_name, _RECEIVER.password)
        imap.select("INBOX")
        imap.begin_idle()

        with ShownSmtp(ports["submissions"]) as smtp:
            smtp.login(_SENDER.login_name, _SENDER.password)
            refused = smtp.sendmail(_SENDER.login_name, [_RECEIVER.login_name], sent)
        check(not refused, "the message was accepted over TLS")

        imap.wait_for(b" EXISTS")
        imap.end_idle()
        check(True, "the reader in IDLE was told of it")
        _, data = imap.uid("FETCH", "1:*", "(BODY.PEEK[])")
        item = data[0]
        by_imap = item[1] if isinstance(item, tuple) else b""
        check(by_imap.endswith(sent), f"IMAP gives back all {len(sent)} octets that were sent")

    pop3 = ShownPop3(ports["pop3s"])
    pop3.user(_RECEIVER.login_name)
    pop3.pass_(_RECEIVER.password)
    by_pop3 = b"".join(line + b"\r\n" for line in pop3.retr(1)[1])
    pop3.quit()
    check(by_pop3 == by_imap, "POP3 gives back the same octets")

    received = email.message_from_bytes(by_imap, policy=email.policy.default)
    check(received["Subject"] == _SUBJECT, f"the subject reads {received['Subject']!r}")
    (attachment,) = received.iter_attachments()
    check(attachment.get_payload(decode=True) == _ATTACHMENT, "the attachment is whole")


@click.command()
def demo() -> None:
    """Start a server on free ports, send a message through it over TLS, read it back by IMAP and POP3.

    Everything that is said is printed, and everything that comes back is compared. Exits with 0 if all is well.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="pymailsuite-demo-") as folder:
            port_base = demo_port_base()
            with running_server(Path(folder), port_base):
                demonstrate(port_base)
    except (DemoFailed, OSError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto) as failure:
        click.secho(f"failed: {failure or type(failure).__name__}", fg="red", err=True)
        raise SystemExit(1) from None
    click.secho("All is well.", fg="green")
