"""HELP (RFC 5321 §4.1.1.8), with a text for each topic: the built-in one or the operator's."""

from __future__ import annotations

from pymailsuite.smtp.conversation import Conversation
from pymailsuite.smtp.extension import Command, SmtpExtension
from pymailsuite.smtp.replies import reply


def _help(conversation: Conversation, argument: str) -> None:
    topic = argument.strip().lower() or "smtp"
    lines = conversation.service.help_topics.get(topic)
    if lines is None:
        conversation.say(reply(504, "5.5.4", f'HELP topic "{topic[:40]}" unknown'))
    else:
        conversation.say(reply(214, "2.0.0", *lines))


help_command = SmtpExtension(
    "help", "HELP", commands=(Command("HELP", _help, help=("HELP [topic]", "This text")),), position=80
)
