"""The texts for people in completions, refusals and BYE, in the languages that clients may choose. Source: RFC 5255 §3.

The server writes English. What a table does not have stays English, and so do untagged texts beside BYE: no program
reads them, and hardly a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen

DEFAULT: Final = "i-default"
"""English for everybody, in ASCII. Source: RFC 2277 §4.5."""

_STATUS: Final = re.compile(rb"([^ ]++ (?:OK|NO|BAD|BYE) (?:\[[^\]\r\n]*+\] )?)([^\r\n]*+)\r\n")
_COMPLETED: Final = re.compile(r"([A-Z][A-Z ]*?) completed")


@frozen
class Language:
    """A language: its tag (RFC 5646), the texts by what they are in English, and the form of ``X completed``."""

    tag: str
    completed: str = field(default="{} completed", repr=False)
    texts: Mapping[str, str] = field(factory=dict, repr=False)

    def status(self, line: bytes) -> bytes:
        """A status response in this language; any other line as it is."""
        match = _STATUS.fullmatch(line)
        if match is None:
            return line
        text = match[2].decode("ascii", "replace")
        done = _COMPLETED.fullmatch(text)
        said = self.completed.format(done[1]) if done is not None else self.texts.get(text, text)
        return match[1] + said.encode("utf-8") + b"\r\n"


ENGLISH: Final = Language("en")
GERMAN: Final = Language(
    "de",
    "{} ausgeführt",
    {
        "Already exists": "Gibt es schon",
        "Annotation too long": "Anmerkung zu lang",
        "APPEND cancelled: a message of no octets": "APPEND abgebrochen: eine Nachricht ohne Inhalt",
        "Authentication cancelled": "Anmeldung abgebrochen",
        "Authentication credentials invalid": "Benutzername oder Passwort ist falsch",
        "Autologout: idle for too long": "Abgemeldet: zu lange untätig",
        "Begin TLS first": "Zuerst TLS beginnen",
        "Begin TLS negotiation now": "TLS kann beginnen",
        "Charset not supported": "Zeichensatz nicht unterstützt",
        "Command line too long": "Befehlszeile zu lang",
        "Command not allowed in this state": "Befehl ist in diesem Zustand nicht erlaubt",
        "Compression begins": "Komprimierung beginnt",
        "Compression mechanism not supported": "Komprimierung nicht unterstützt",
        "Conditional STORE failed": "Bedingtes STORE nicht ausgeführt",
        "Expected the message as a literal": "Nachricht als Literal erwartet",
        "INBOX cannot be deleted": "INBOX kann nicht gelöscht werden",
        "Insufficient system storage": "Kein Speicherplatz auf dem Server",
        "Internal error": "Interner Fehler",
        "Invalid message sequence number": "Ungültige Nachrichtennummer",
        "Language chosen": "Sprache gewählt",
        "Literal too big": "Literal zu groß",
        "Logged in": "Angemeldet",
        "Logged out": "Abgemeldet",
        "Logging out": "Abmeldung",
        "Mail store unavailable": "Postspeicher nicht erreichbar",
        "Mailbox does not exist": "Postfach gibt es nicht",
        "Mailbox has inferior mailboxes": "Postfach hat untergeordnete Postfächer",
        "Mailbox is full": "Postfach ist voll",
        "Mailbox is read-only": "Postfach kann nur gelesen werden",
        "Mailbox name is not valid modified UTF-7": "Name des Postfachs ist kein gültiges modifiziertes UTF-7",
        "Mailbox name is outside of your namespace": "Name des Postfachs liegt außerhalb des Namensraums",
        "Mailbox name too long": "Name des Postfachs zu lang",
        "Maildrop already locked": "Postfach ist gesperrt",
        "Message does not exist": "Nachricht gibt es nicht",
        "Message octets are gone": "Nachricht gibt es nicht mehr",
        "Message size exceeds fixed limit": "Nachricht ist zu groß",
        "No such account": "Konto gibt es nicht",
        "No such entry": "Eintrag gibt es nicht",
        "Not a mailbox that can hold messages": "In diesem Postfach können keine Nachrichten liegen",
        "Nothing to copy": "Nichts zu kopieren",
        "Nothing to move": "Nichts zu verschieben",
        "Permission denied": "Keine Berechtigung",
        "Refused": "Abgelehnt",
        "Server shutting down": "Der Server wird beendet",
        "Some of the messages no longer exist": "Einige der Nachrichten gibt es nicht mehr",
        "Special use not supported": "Besonderer Zweck nicht unterstützt",
        "Syntax error": "Syntaxfehler",
        "Temporary failure": "Vorübergehender Fehler",
        "The URL names no message of yours": "Die URL nennt keine Ihrer Nachrichten",
        "The command took too long": "Der Befehl dauerte zu lange",
        "The connection is compressed": "Die Verbindung ist komprimiert",
        "The connection is compressed already": "Die Verbindung ist schon komprimiert",
        "The selected mailbox was deleted": "Das gewählte Postfach wurde gelöscht",
        "TLS is in use already": "TLS wird schon benutzt",
        "TLS is not offered": "TLS wird nicht angeboten",
        "Too many": "Zu viele",
        "Too many annotations": "Zu viele Anmerkungen",
        "Too many connections": "Zu viele Verbindungen",
        "Too many errors": "Zu viele Fehler",
        "Too many failed logins": "Zu viele falsche Anmeldungen",
        "Too many failed logins, try again later": "Zu viele falsche Anmeldungen, bitte später",
        "Too many mailboxes": "Zu viele Postfächer",
        "Too many messages in one command": "Zu viele Nachrichten in einem Befehl",
        "Too many sessions of this account": "Zu viele Sitzungen dieses Kontos",
        "Transfer encoding not known": "Kodierung nicht bekannt",
        "Unknown command": "Unbekannter Befehl",
        "Unsupported authentication mechanism": "Anmeldeverfahren nicht unterstützt",
        "Your login has ended: log in again": "Ihre Anmeldung gilt nicht mehr: bitte neu anmelden",
    },
)
_BY_TAG: Final = {language.tag: language for language in (ENGLISH, GERMAN)}
TAGS: Final = (*_BY_TAG, DEFAULT)
"""Of all languages, in the form that clients are told."""


def chosen(ranges: Sequence[str]) -> tuple[str, Language | None] | None:
    """The tag and the language for the first of some language ranges that there is; the language is None for the
    default. None if there is none of them. Source: RFC 4647 §3.4: ``de-AT`` is content with ``de``."""
    for one in ranges:
        words = one.lower().split("-")
        if one.lower() in {"default", DEFAULT, "*"}:
            return DEFAULT, None
        while words:
            language = _BY_TAG.get("-".join(words))
            if language is not None:
                return language.tag, language
            words.pop()
    return None
