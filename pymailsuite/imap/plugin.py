"""Finds IMAP extensions, built-in ones too, as plugins: once, when the server is set up."""

from __future__ import annotations

from itertools import product

from twisted.logger import Logger

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.extension import IImapExtension, ImapExtension, Standing
from pymailsuite.imap.extensions import OURS
from pymailsuite.imap.vocabulary import Vocabulary
from pymailsuite.plugins import plugins_by_name

log = Logger()


def find_vocabulary(settings: ImapSettings) -> Vocabulary:
    """The vocabulary of all declarations. Those that are broken, or whose name is taken, are reported in the log and
    left out."""
    found = [one for one in plugins_by_name(IImapExtension).values() if isinstance(one, ImapExtension)]
    ours = [extension for extension in found if extension in OURS]
    foreign = [extension for extension in found if extension not in OURS and _is_sound(extension, settings)]
    vocabulary = Vocabulary(ours, foreign)
    for taken in vocabulary.taken:
        log.error(
            "{event}: {kind} {word} of {plugin} is left out of {protocol}, as {other} has one of that name",
            event="extension.word_taken",
            protocol="imap",
            kind=taken.what,
            word=taken.name,
            plugin=taken.extension,
            other=taken.other,
        )
    return vocabulary


def _is_sound(extension: ImapExtension, settings: ImapSettings) -> bool:
    """Whether its names and its capabilities can be computed, in every state; otherwise no greeting could be sent."""
    try:
        vocabulary = Vocabulary((), (extension,))
        for offers_tls, secure, plaintext, logged_in in product((False, True), repeat=4):
            vocabulary.capabilities(Standing(settings, offers_tls, secure, plaintext, logged_in))
    except Exception:
        log.failure("{event}: {plugin} of {protocol}", event="extension.failed", protocol="imap", plugin=extension.name)
        return False
    return True
