"""A mark in the Subject of messages whose text has one of some words."""

from twisted.internet.defer import Deferred

from pymailsuite.interfaces.edits import ReplaceField
from pymailsuite.interfaces.policy import Action, Verdict
from pymailsuite.message.headers import first_field
from pymailsuite.policy.base import NO_OPINION, Policy

LONGEST_WORD = 100


class TextWords(Policy):
    name = "text_words"

    def __init__(self, words, mark):
        self._words = [word.casefold()[:LONGEST_WORD] for word in words]
        self._mark = mark.encode()

    def message(self, transaction):
        return Deferred.fromCoroutine(self._message(transaction.message))

    async def _message(self, message):
        for part in message.parts().root.walk():
            if part.content_type in ("text/plain", "text/html"):
                word = await self._found(message.text(part))
                if word is not None:
                    subject = first_field(message.header, b"subject") or b""
                    marked = ReplaceField(b"Subject", b"Subject: %b %b\r\n" % (self._mark, subject))
                    return Verdict(Action.TAG, f"its text has {word}", edits=(marked,))
        return NO_OPINION

    async def _found(self, pieces):
        before = ""
        async for piece in pieces:
            text = before + piece.casefold()
            for word in self._words:
                if word in text:
                    return word
            # A word may begin in one piece and end in the next.
            before = text[-LONGEST_WORD:]


def make_policy(context):
    return TextWords(context.section.model_extra["words"], context.section.model_extra.get("mark", "[found]"))
