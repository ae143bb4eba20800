"""What we say to a back-end until it has let a user in: lines in, lines and events out.

Capabilities from before TLS are forgotten (RFC 3501 §6.2.1), and nothing of a login is said before TLS where that is to
be used. A back-end may give a reason for what it does not do; that goes to the log, but none that follows the password.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from pymailsuite.imap.render import string
from pymailsuite.wire.lines import LineBuffer, LineTooLong

_LONGEST_LINE: Final = 16384
"""Octets of one line of a back-end before the login is done."""
_MOST_LINES: Final = 200
"""Lines of a back-end before the login is done."""
_LONGEST_REASON: Final = 200
_CAPABILITY: Final = re.compile(rb"\* (?:OK \[)?CAPABILITY ([^\]]*)", re.IGNORECASE)
_CODE: Final = re.compile(rb"\[([A-Za-z0-9-]{1,40})[ \]]")
_NOT_NOW: Final = frozenset(
    {"UNAVAILABLE", "SERVERBUG", "LIMIT", "INUSE", "CONTACTADMIN", "PRIVACYREQUIRED", "CANNOT", "REFERRAL"}
)
"""Response codes with which a login is refused whatever the password is. Source: RFC 5530 §3, RFC 2221."""


FRONT_ENDS: Final = 5
"""How many front ends may stand one behind the other: of a circle of them each would ask the next one for ever."""


def proxy_ttl(fields: Mapping[str, str | None]) -> int:
    """How many front ends may follow, by the ID of a client; FRONT_ENDS if it says nothing of that, and is none."""
    told = next((value or "" for name, value in fields.items() if name.lower() == "x-proxy-ttl"), None)
    if told is None:
        return FRONT_ENDS
    return min(int(told), FRONT_ENDS - 1) if re.fullmatch("[0-9]{1,4}", told) else 0


@frozen
class BackendLogin:
    """``name`` and ``password`` are those of PLAIN; ``acting_as`` is whose mail is wanted, if that is somebody else.

    ``client`` are the fields of the ID that we send, which tell who the client is.
    """

    name: bytes
    password: bytes = field(repr=False)
    acting_as: bytes = b""
    client: Mapping[str, str] = field(factory=dict)

    @property
    def plain(self) -> bytes:
        """The message of PLAIN. Source: RFC 4616 §2."""
        return b64encode(b"\0".join((self.acting_as, self.name, self.password)))


@frozen
class BeginTls:
    """TLS is to be begun now; then :meth:`BackendDialogue.secured`."""


@frozen
class LoggedIn:
    """The user is in. ``completion`` is the reply without its tag, ``untagged`` are the lines before it, ``rest`` is
    what has come behind it."""

    completion: bytes
    untagged: tuple[bytes, ...]
    rest: bytes


@frozen
class NotLoggedIn:
    """The user is not in. ``is_refused``: for the name and the password; otherwise for another reason."""

    reason: str
    is_refused: bool = False


Outcome = BeginTls | LoggedIn | NotLoggedIn


class BackendDialogue:
    """``starttls``: TLS is begun in the dialogue; otherwise the connection is what it is to be from the start.

    Octets to send are in ``out``.
    """

    def __init__(self, login: BackendLogin, *, starttls: bool) -> None:
        self._login = login
        self._starttls = starttls
        self._lines = LineBuffer(_LONGEST_LINE)
        self._lines_left = _MOST_LINES
        self._capabilities: frozenset[bytes] | None = None
        self._untagged: list[bytes] = []
        self._awaits = "greeting"
        self._count = 0
        self._tag = b""
        self._initial: bytes | None = None
        self.out: list[bytes] = []

    def receive(self, octets: bytes) -> Outcome | None:
        """Octets from the back-end; an outcome once there is one."""
        self._lines.receive(octets)
        try:
            while (line := self._lines.next_line()) is not None:
                self._lines_left -= 1
                if self._lines_left < 0:
                    return NotLoggedIn("too many lines before the login")
                outcome = self._greeted(line) if self._awaits == "greeting" else self._take(line)
                if outcome is not None:
                    return outcome
        except LineTooLong:
            return NotLoggedIn("a line is too long")
        return None

    def secured(self) -> None:
        """TLS is there, and the back-end is proved to be the one it should be."""
        if self._starttls:
            self._starttls = False
            self._ask_capabilities()

    def drop_unread(self) -> int:
        """Forget what came before TLS; returns the number of octets. Source: RFC 3501 §6.2.1."""
        self._capabilities = None
        return self._lines.drop_unread()

    # --- what we say

    def _command(self, awaits: str, text: bytes) -> None:
        self._count += 1
        self._tag = b"p%d" % self._count
        self._awaits = awaits
        self.out.append(self._tag + b" " + text + b"\r\n")

    def _ask_capabilities(self) -> None:
        self._command("CAPABILITY", b"CAPABILITY")

    def _identify(self) -> Outcome | None:
        offered = self._capabilities or frozenset()
        if b"AUTH=PLAIN" not in offered:
            return NotLoggedIn("it does not offer AUTH=PLAIN")
        if b"ID" not in offered or not self._login.client:
            self._authenticate()
        else:
            words = [string(word.encode("utf-8")) for pair in self._login.client.items() for word in pair]
            self._command("ID", b"ID (" + b" ".join(words) + b")")
        return None

    def _authenticate(self) -> None:
        self._untagged.clear()
        if b"SASL-IR" in (self._capabilities or ()):
            self._command("AUTHENTICATE", b"AUTHENTICATE PLAIN " + self._login.plain)
        else:
            self._initial = self._login.plain
            self._command("AUTHENTICATE", b"AUTHENTICATE PLAIN")

    # --- what it says

    def _greeted(self, line: bytes) -> Outcome | None:
        if line[:5].upper() not in (b"* OK ", b"* OK"):
            return NotLoggedIn(f"its greeting is {_shown(line)}")
        self._note_capabilities(line)
        if self._starttls:
            self._command("STARTTLS", b"STARTTLS")
        elif self._capabilities is None:
            self._ask_capabilities()
        else:
            return self._identify()
        return None

    def _note_capabilities(self, line: bytes) -> None:
        told = _CAPABILITY.match(line)
        if told is not None:
            self._capabilities = frozenset(told[1].upper().split())

    def _take(self, line: bytes) -> Outcome | None:
        if line.startswith(b"* "):
            if line[:5].upper() == b"* BYE":
                return NotLoggedIn(f"it ended the connection{self._why(line)}")
            self._note_capabilities(line)
            self._untagged.append(line)
            return None
        if line.startswith(b"+"):
            initial, self._initial = self._initial, None
            if initial is None:
                return NotLoggedIn(f"it asked for more in {self._awaits}")
            self.out.append(initial + b"\r\n")
            return None
        tag, _, completion = line.partition(b" ")
        # Any other line is of a literal in a reply that nobody needs, such as that to ID.
        return self._completed(completion) if tag == self._tag else None

    def _completed(self, completion: bytes) -> Outcome | None:
        status = completion[:3].strip().upper()
        if self._awaits == "AUTHENTICATE":
            return self._judged(status, completion)
        if self._awaits == "ID":
            # What it makes of that is its own affair.
            self._authenticate()
            return None
        if status != b"OK":
            return NotLoggedIn(f"it answered {self._awaits} with {_shown(completion)}")
        if self._awaits == "STARTTLS":
            return BeginTls()
        return self._identify()

    def _judged(self, status: bytes, completion: bytes) -> Outcome:
        if status == b"OK":
            return LoggedIn(completion, tuple(self._untagged), self._lines.take(len(self._lines)))
        code = _CODE.match(completion, len(status) + 1)
        word = code[1].decode("ascii").upper() if code is not None else ""
        reason = f"it refused the login: {_shown(status)} {word}".rstrip()
        return NotLoggedIn(reason, is_refused=status == b"NO" and word not in _NOT_NOW)

    def _why(self, line: bytes) -> str:
        """What it says, unless it has been told a password, which it might repeat."""
        return "" if self._awaits == "AUTHENTICATE" else f": {_shown(line)}"


def _shown(line: bytes) -> str:
    return line[:_LONGEST_REASON].decode("ascii", "backslashreplace")
