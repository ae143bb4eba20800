"""Clients that use a server until it dies under them, and the ledger in which they write what they were told."""

from __future__ import annotations

import imaplib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from tests.durability.clients import GONE, REFUSED, MailboxView, imap, message, pop3, send, smtp
from tests.support.server import Server

INBOX_USERS = ("user0", "user1", "user2")
MOVER, ERASER, POPPER = "mover", "eraser", "popper"
USERS = [*INBOX_USERS, MOVER, ERASER, POPPER]


class Ledger:
    """What clients were told of each message, by its token.

    ``accepted``: answered yes. ``refused``: answered no. ``unsure``: the connection died before the answer.
    ``removing``: its removal (EXPUNGE, QUIT of POP3) was asked for; ``removed``: and answered yes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.accepted: set[str] = set()
        self.refused: set[str] = set()
        self.unsure: set[str] = set()
        self.flagged: set[str] = set()
        self.removing: set[str] = set()
        self.removed: set[str] = set()
        self.took_s: list[float] = []
        """How long each delivery took to be answered."""

    def deliver(self, kind: str, act: Callable[[str], bool]) -> str:
        """Have ``act`` bring in a message with a new token, and write down what it was told."""
        with self._lock:
            token = f"{kind}-{next(self._numbers)}"
            self.unsure.add(token)
        began = time.monotonic()
        told = act(token)
        with self._lock:
            self.took_s.append(time.monotonic() - began)
            self.unsure.discard(token)
            (self.accepted if told else self.refused).add(token)
        return token

    def remove(self, tokens: Iterable[str], act: Callable[[], bool]) -> None:
        """Have ``act`` remove these messages, and write down what it was told."""
        tokens = set(tokens)
        with self._lock:
            self.removing |= tokens
        if act():
            with self._lock:
                self.removed |= tokens

    def of_kind(self, kind: str, tokens: set[str]) -> set[str]:
        """Those of ``tokens`` that were made under this kind."""
        return {token for token in tokens if token.startswith(f"{kind}-")}


class Load:
    """Clients in threads. They end when their server dies, or, if they are to ``persist``, connect again.

    With several servers each kind of client is there once for each server.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        ledger: Ledger,
        seed: int,
        *,
        persist: bool = False,
        jobs: Iterable[str] = ("submit", "submit", "append_and_move", "erase", "flag", "pop"),
    ) -> None:
        self._ledger = ledger
        self._persist = persist
        self._going = True
        self._random = random.Random(seed)
        self._address = dict(zip(USERS, servers[0].addresses, strict=True))
        self._defects: list[BaseException] = []
        self.interruptions: list[BaseException] = []
        """What made clients end, or connect again: a server that stays up gives them no cause."""
        self._threads = [
            threading.Thread(target=self._run, args=(getattr(self, f"_{job}"), server), daemon=True)
            for server in servers
            for job in jobs
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait until all have ended what they are at, or noticed that their server is gone."""
        self._going = False
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        assert not self._defects, self._defects

    def run_then_kill(self, server: Server, after_s: float) -> None:
        """Start the load, kill the server after a while, and wait for the clients to notice."""
        self.start()
        time.sleep(after_s)
        server.kill()
        self.stop()

    def _run(self, job: Callable[[Server], None], server: Server) -> None:
        try:
            while self._going:
                try:
                    job(server)
                except TimeoutError:
                    raise
                except (*GONE, *REFUSED) as interruption:
                    self.interruptions.append(interruption)
                    if not self._persist:
                        return
                    time.sleep(0.05)
        except BaseException as defect:
            self._defects.append(defect)

    def _submit(self, server: Server) -> None:
        """Messages of all sizes, some for several recipients at once."""
        client = smtp(server)
        while self._going:
            size = self._random.choice([500, 4000, 4000, 60_000, 700_000])
            recipients = [self._address[name] for name in INBOX_USERS[: self._random.randint(1, 3)]]

            def act(token: str, recipients: list[str] = recipients, size: int = size) -> bool:
                return send(client, recipients, message(token, size))

            self._ledger.deliver(f"smtp{len(recipients)}", act)

    def _send_out(self, server: Server) -> None:
        """Messages for another host."""
        client = smtp(server)
        while self._going:
            self._ledger.deliver("out", lambda token: send(client, ["bob@elsewhere.test"], message(token)))

    def _append_and_move(self, server: Server) -> None:
        """APPEND into one mailbox and MOVE to and fro; a COPY now and then into a third."""
        client = imap(server, self._address[MOVER])
        for name in ("Left", "Right", "Copies"):
            client.create(name)
        while self._going:
            self._ledger.deliver("append", lambda token: client.append("Left", "", "", message(token))[0] == "OK")
            client.select("Left")
            if self._random.random() < 0.2:
                client.uid("COPY", "1:*", "Copies")
            client.uid("MOVE", "1:*", "Right")
            client.select("Right")
            client.uid("MOVE", f"1:{self._random.randint(1, 50)}", "Left")

    def _erase(self, server: Server) -> None:
        """APPEND two, EXPUNGE one of them."""
        client = imap(server, self._address[ERASER])
        client.select("INBOX")
        while self._going:
            for _ in range(2):
                self._ledger.deliver("erase", lambda token: client.append("INBOX", "", "", message(token))[0] == "OK")
            view = MailboxView(imap(server, self._address[ERASER]), "INBOX")
            if not view.tokens:
                continue  # nothing of ours was taken, and what there was another has erased
            uid, token = self._random.choice(sorted(view.tokens.items()))
            # What others have just put there, this session marks only once it was told of it.
            client.noop()
            # Marked as going before STORE: a mark that outlives a kill takes effect with the EXPUNGE after it.
            self._ledger.remove([token], lambda uid=uid: self._erase_one(client, uid))  # type: ignore[misc]

    @staticmethod
    def _erase_one(client: imaplib.IMAP4, uid: int) -> bool:
        marked = client.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
        return client.expunge()[0] == "OK" and marked

    def _flag(self, server: Server) -> None:
        """STORE on what comes in."""
        client = imap(server, self._address[INBOX_USERS[0]])
        while self._going:
            view = MailboxView(client, "INBOX")
            client.select("INBOX")
            for uid, token in list(view.tokens.items())[-5:]:
                if client.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Flagged)")[0] == "OK":
                    self._ledger.flagged.add(token)

    def _pop(self, server: Server) -> None:
        """Mail in by SMTP, all of it out by POP3."""
        address = self._address[POPPER]
        while self._going:
            sender = smtp(server)
            for _ in range(3):
                self._ledger.deliver("pop", lambda token: send(sender, [address], message(token)))  # noqa: B023
            sender.quit()
            reader = pop3(server, address)
            tokens = []
            for number in range(1, len(reader.list()[1]) + 1):
                lines = reader.retr(number)[1]
                tokens += [line.split()[1].decode() for line in lines if line.startswith(b"X-Token:")]
                reader.dele(number)
            self._ledger.remove(tokens, lambda: reader.quit().startswith(b"+OK"))  # noqa: B023
