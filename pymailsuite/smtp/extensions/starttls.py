"""STARTTLS (RFC 3207). It is offered if the listener has a certificate and the connection has no TLS yet."""

from __future__ import annotations

from pymailsuite.smtp import replies
from pymailsuite.smtp.conversation import Conversation
from pymailsuite.smtp.extension import Command, SmtpExtension
from pymailsuite.smtp.requests import BeginTls


def _keyword(conversation: Conversation) -> str:
    return "STARTTLS" if conversation.service.tls_available and not conversation.secure else ""


def _start_tls(conversation: Conversation, argument: str) -> BeginTls | None:
    if not conversation.service.tls_available:
        conversation.refuse(replies.NOT_IMPLEMENTED)
    elif argument.strip():
        conversation.refuse(replies.NO_ARGUMENT_ALLOWED)
    elif conversation.secure:
        conversation.refuse(replies.ALREADY_SECURE)
    else:
        conversation.say(replies.START_TLS)
        return BeginTls()
    return None


starttls = SmtpExtension(
    "starttls",
    _keyword,
    commands=(Command("STARTTLS", _start_tls, help=("STARTTLS", "Go on with TLS")),),
    position=60,
)
