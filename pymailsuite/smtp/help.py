"""The texts of HELP: one for each topic, built in or the operator's. Source: RFC 5321 §4.1.1.8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pymailsuite.errors import ConfigError
from pymailsuite.smtp.extension import Command

_BUILT_IN: Final = """\
smtp\tThis is pymailsuite
smtp\tCommands: HELO EHLO MAIL RCPT DATA RSET NOOP VRFY QUIT
smtp\tHELP <command> tells more
helo\tHELO <domain>
helo\tSay who you are
ehlo\tEHLO <domain>
ehlo\tSay who you are, and learn which extensions there are
mail\tMAIL FROM:<sender> [SIZE=octets] [BODY=7BIT|8BITMIME] [SMTPUTF8]
mail\tReports: [RET=FULL|HDRS] [ENVID=identifier]
mail\tBegin a message
rcpt\tRCPT TO:<recipient> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;address]
rcpt\tName a recipient; once for each
data\tDATA
data\tThe text follows; it ends with a line that holds only a dot
rset\tRSET
rset\tForget sender and recipients
noop\tNOOP
noop\tDo nothing
vrfy\tVRFY <recipient>
vrfy\tUsers are not told; send some mail
quit\tQUIT
quit\tEnd the session
"""


def parse_help(text: str) -> dict[str, tuple[str, ...]]:
    """Topics, in lower case, with their lines, from lines of ``TOPIC<TAB>TEXT``; empty lines and ``#`` are passed over.

    This is the traditional format of SMTP help files. ConfigError names a malformed line, or says that ``smtp`` is
    missing.
    """
    topics: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        topic, tab, words = line.partition("\t")
        if not tab or not topic.strip():
            raise ConfigError(f"help file, line {number}: not TOPIC<TAB>TEXT")
        topic = topic.strip().lower()
        topics[topic] = (*topics.get(topic, ()), words.strip())
    if "smtp" not in topics:
        raise ConfigError("help file: no topic smtp")
    return topics


def load_help(path: Path | None, version: str = "", commands: Iterable[Command] = ()) -> Mapping[str, tuple[str, ...]]:
    """The help of a file, or the built-in help if there is none, which names ``version`` and the commands of
    extensions. ConfigError."""
    if path is None:
        topics = parse_help(_BUILT_IN)
        for command in commands:
            first, listed, *rest = topics["smtp"]
            topics["smtp"] = (first, f"{listed} {command.verb}", *rest)
            topics[command.verb.lower()] = command.help or (command.verb,)
        if version:
            topics["smtp"] = (f"This is {version}", *topics["smtp"][1:])
        return topics
    try:
        return parse_help(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"help_file: {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"help_file: {path}: {error}") from None
