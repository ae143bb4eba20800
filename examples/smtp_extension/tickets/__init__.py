"""XTICKET: the number of a ticket with each recipient, and a field of the message that tells it."""

from twisted.internet.defer import succeed

from pymailsuite.interfaces.policy import Action, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.smtp.extension import Parameter, SmtpExtension
from pymailsuite.smtp.grammar import ArgumentRefused


def offered(conversation):
    return "XTICKET" if conversation.peer.trusted or conversation.peer.login else ""


def take(conversation, value):
    if not offered(conversation) or not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ArgumentRefused("Not a ticket's number")
    return int(value)


extension = SmtpExtension("xticket", offered, recipient_parameters=(Parameter("XTICKET", take),))


class Tickets(Policy):
    name = "tickets"

    def message(self, transaction):
        numbers = {taken["XTICKET"] for taken in transaction.recipient_parameters.values() if "XTICKET" in taken}
        if not numbers:
            return succeed(NO_OPINION)
        fields = tuple(f"X-Ticket: {number}\r\n".encode() for number in sorted(numbers))
        return succeed(Verdict(Action.PASS, "belongs to tickets", fields=fields))


def make_policy(context):
    return Tickets()
