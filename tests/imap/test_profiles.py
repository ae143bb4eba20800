"""The dialogues of tests/transcripts/imap_profiles, each in both namespace profiles.

Names of mailboxes stand in the text as the store has them: ``${mailbox Work/2024}``; ``${lower Work}`` is the same with
INBOX in lower case, where it is a part of the name. ``${level v1.0}`` is one level of a name, ``${dot}`` a dot in a
level. ``${prefix}`` and ``${delimiter}`` are the profile's. A line that
begins with the name of a profile is for that profile only.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap.naming import COURIER, PLAIN, PROFILES, Profile
from pymailsuite.interfaces.sharing import IMailSharing
from pymailsuite.store.mail_store import MailStore
from tests.imap.conversation import Conversation, Server
from tests.support.transcripts import transcripts

_NAME = re.compile(r"\$\{(mailbox|lower|level) ([^}]+)\}")


def in_profile(profile: Profile) -> Callable[[str], str]:
    """What writes a dialogue with the names of this profile."""

    def name(match: re.Match[str]) -> str:
        if match[1] == "level":
            return profile.swapped(match[2])
        wire = profile.wire(match[2])
        return wire if match[1] == "mailbox" else wire.replace("INBOX", "inbox", 1)

    def rewrite(text: str) -> str:
        lines = [f"@setting namespace {profile.name}"]
        for line in text.splitlines():
            first, _, rest = line.partition(" ")
            if first not in PROFILES:
                lines.append(line)
            elif first == profile.name:
                lines.append(rest)
        text = "\n".join(lines).replace("${prefix}", profile.prefix).replace("${delimiter}", profile.delimiter)
        text = text.replace("${dot}", profile.swapped("."))
        return _NAME.sub(name, text)

    return rewrite


def _talk(_: object, transcript: object) -> Conversation:
    return Conversation(transcript)  # type: ignore[arg-type]


@transcripts("imap_profiles", core=_talk, protocol=_talk, rewrite=in_profile(PLAIN))
class Plain(SynchronousTestCase):
    """Names as the store has them."""


@transcripts("imap_profiles", core=_talk, protocol=_talk, rewrite=in_profile(COURIER))
class Courier(SynchronousTestCase):
    """Everything below INBOX."""


class Alone(SynchronousTestCase):
    """A store that shares nothing."""

    def test_there_are_no_namespaces_of_others(self) -> None:
        ability = MailStore.ability
        self.patch(MailStore, "ability", lambda store, kind: None if kind is IMailSharing else ability(store, kind))
        client = Server().connect().login()
        self.assertEqual(client.command("NAMESPACE")[0], '* NAMESPACE (("" "/")) NIL NIL')
        self.assertRegex(client.command('CREATE "Other Users/bob/x"')[0], "^x OK ")
        self.assertEqual(client.command('STATUS "Other Users/bob/x" (MESSAGES)')[0][-13:], " (MESSAGES 0)")
