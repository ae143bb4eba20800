"""What is done otherwise for mail programs that cannot cope with what is right: profiles, as data.

A session has no profile until its client says by ID (RFC 2971) that it is one of those that need one, or until somebody
logs in for whose account an operator has chosen one. Then the profile changes which capabilities are listed and may be
enabled; nothing else differs, so a session without a profile costs nothing.

Departs from RFC 2971 §3, by which what a client says of itself changes nothing: each profile is for a defect that has
been seen, and ``tests/transcripts/imap`` has the dialogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Final

from attrs import frozen

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.interfaces.overrides import Choice

_COMPARED: Final = 200
"""Characters of a name and of a version that are kept and compared with patterns."""

ClientName = tuple[str, ...]
"""Both forms of the name of a client, without and with its version; empty for one that has sent no ID."""


@frozen
class Quirk:
    """A profile. ``clients`` are patterns as of a shell, in any case, for NAME or for "NAME VERSION" of a client's ID;
    without any the profile is for accounts for which it is chosen."""

    name: str
    why: str = ""
    clients: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    """Capabilities that are neither listed nor enabled; or, with ``*`` at the end, all that begin so."""
    adds: tuple[str, ...] = ()
    """Words that are listed as capabilities too, after login."""

    def hidden(self, capability: str) -> bool:
        """Whether clients with this profile are not told of a capability."""
        return any(
            capability.startswith(word[:-1]) if word.endswith("*") else capability == word for word in self.hides
        )


OURS: Final = (
    Quirk(
        "office365",
        "Enables UIDONLY (RFC 9586) where it is offered, and then fetches by sequence numbers, which is refused.",
        ("Microsoft Office 365*",),
        hides=("UIDONLY",),
    ),
)
"""The profiles that come with the server. ``tests/transcripts/imap/quirk_NAME.txt`` shows the need of each."""


def quirks_of(settings: ImapSettings) -> tuple[Quirk, ...]:
    """All profiles, by name: ours, and those of the settings, which stand in for ours of the same name."""
    known = {quirk.name: quirk for quirk in OURS}
    for name, wanted in settings.quirks.items():
        known[name] = Quirk(
            name, wanted.why, tuple(wanted.clients), tuple(word.upper() for word in wanted.hide), tuple(wanted.add)
        )
    return tuple(sorted(known.values(), key=lambda quirk: quirk.name))


class QuirkTable:
    """Finds the profiles of a session."""

    def __init__(self, settings: ImapSettings) -> None:
        self._quirks = quirks_of(settings)
        self._patterns = [
            re.compile("|".join(map(translate, quirk.clients)), re.IGNORECASE) if quirk.clients else None
            for quirk in self._quirks
        ]

    def chosen(self, client: ClientName, choices: Mapping[str, Choice]) -> tuple[Quirk, ...]:
        """The profiles for a client of an account with these choices."""
        found = []
        for quirk, pattern in zip(self._quirks, self._patterns, strict=True):
            choice = choices.get(quirk.name)
            if choice == "on" or (choice is None and pattern is not None and any(map(pattern.match, client))):
                found.append(quirk)
        return tuple(found)


def client_name(fields: Mapping[str, str | None]) -> ClientName:
    """What is compared with patterns of the fields of an ID."""
    known = {field.lower(): (value or "")[:_COMPARED] for field, value in fields.items()}
    name = known.get("name", "")
    return name, f"{name} {known.get('version', '')}"


def listed(capabilities: bytes, quirks: Iterable[Quirk], *, logged_in: bool) -> bytes:
    """A list of capabilities, as clients with these profiles are sent it."""
    words = capabilities.decode("ascii").split(" ")
    for quirk in quirks:
        words = [word for word in words if not quirk.hidden(word)]
        words += [word for word in quirk.adds if logged_in and word not in words]
    return " ".join(words).encode("ascii")
