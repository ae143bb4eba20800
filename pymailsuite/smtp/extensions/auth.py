"""AUTH (RFC 4954): the exchange is in :mod:`pymailsuite.smtp.login`.

AUTH= of MAIL is for servers that trust the client's statement of the original submitter (§5); a server may ignore it,
and this one does.
"""

from __future__ import annotations

from pymailsuite.smtp import replies
from pymailsuite.smtp.conversation import Conversation
from pymailsuite.smtp.extension import Command, ExtensionContext, Parameter, SmtpExtension
from pymailsuite.smtp.grammar import UnknownParameter
from pymailsuite.smtp.login import LoginCommands
from pymailsuite.smtp.states import State


def _keyword(conversation: Conversation) -> str:
    names = () if conversation.peer.login else conversation.offered_mechanisms()
    return f"AUTH {' '.join(names)}" if names else ""


def _take(context: ExtensionContext, value: str) -> str:
    if not value:
        raise UnknownParameter
    return value


_REFUSED_IN = {
    State.START: replies.EHLO_FIRST,
    State.MAIL: replies.NOT_WITHIN_TRANSACTION,
    State.RCPT: replies.NOT_WITHIN_TRANSACTION,
}

auth = SmtpExtension(
    "auth",
    _keyword,
    commands=(Command("AUTH", LoginCommands.log_in, _REFUSED_IN, ("AUTH <mechanism> [initial response]", "Log in")),),
    mail_parameters=(Parameter("AUTH", _take),),
    position=70,
)
