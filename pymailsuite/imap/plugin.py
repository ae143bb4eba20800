"""Extensions of IMAP as plugins, ours too: found once, when the server is put together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from attrs import frozen
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface, implementer

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.declarations import ImapExtension, Standing
from pymailsuite.imap.vocabulary import Vocabulary
from pymailsuite.plugins import NamedMaker, make_plugin, plugins_by_name

log = Logger()

_OURS = "pymailsuite"


class IImapExtensions(Interface):
    """What a package adds to IMAP."""

    name: str = Attribute("The package, more or less.")

    def make(settings: ImapSettings) -> Sequence[ImapExtension]:
        """Its extensions; their capabilities are listed in this order."""


@implementer(IPlugin, IImapExtensions)
@frozen
class ImapExtensions(NamedMaker):
    """Extensions of IMAP, declared in a module of ``twisted/plugins/``:

    ``extensions = ImapExtensions("example", "example.imap.extensions")``

    The second is the full name of a function that takes the settings of ``[imap]`` and answers ImapExtensions.
    """


def find_vocabulary(settings: ImapSettings) -> Vocabulary:
    """All that is declared. What is broken, or has a name that is taken, is reported in the log and left out."""
    ours: list[ImapExtension] = []
    foreign: list[ImapExtension] = []
    for name, plugin in plugins_by_name(IImapExtensions).items():
        made = make_plugin(name, plugin.make, settings) or ()
        if name == _OURS:
            ours += made
        else:
            foreign += [extension for extension in made if _is_sound(extension, settings, name)]
    vocabulary = Vocabulary(ours, foreign)
    report(vocabulary)
    return vocabulary


def _is_sound(extension: ImapExtension, settings: ImapSettings, plugin: str) -> bool:
    """Whether its names and its capabilities can be told, in whatever state; else no client could be greeted."""
    try:
        vocabulary = Vocabulary((), (extension,))
        for offers_tls, secure, plaintext, logged_in in product((False, True), repeat=4):
            vocabulary.capabilities(Standing(settings, offers_tls, secure, plaintext, logged_in))
    except Exception:
        log.failure("{event}: {plugin}", event="imap.extension_broken", plugin=plugin)
        return False
    return True


def report(vocabulary: Vocabulary) -> None:
    """Write to the log which declarations were left out."""
    for taken in vocabulary.taken:
        log.error(
            "{event}: {what} {name} of {extension} is left out, as {other} has one of that name",
            event="imap.name_taken",
            what=taken.what,
            name=taken.name,
            extension=taken.extension,
            other=taken.other,
        )
