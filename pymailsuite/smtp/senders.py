"""Whether a client may send as an address: checked at MAIL for the reverse-path, and after the text for its header.

Source: RFC 6409 §6.1. The directory knows a user's rights; the settings have those of trusted hosts. Nothing is cached
here: the rights are looked up for each message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from pymailsuite.errors import MailError, Refusal
from pymailsuite.interfaces.policy import ReceivedMessage
from pymailsuite.message.originators import originators_of
from pymailsuite.policy.decision import is_listed
from pymailsuite.smtp import replies
from pymailsuite.smtp.conversation import Conversation
from pymailsuite.smtp.requests import CheckSenders, DropMessage, Request, Service
from pymailsuite.values import Address, Peer

_ANYBODY: Final = "*"

AfterSender = Callable[[], Request | None]
AfterCheck = Callable[[Address | None], Request | None]


class SenderRefused(Refusal):
    """The header names an author or sender that the client may not send as, or names none clearly."""


class SenderChecks(Conversation):
    """The checks that may stop a transaction because of its sender."""

    def __init__(self, service: Service, peer: Peer, secure: bool, plaintext_login: bool = False) -> None:
        super().__init__(service, peer, secure, plaintext_login)
        self._after_check: AfterCheck | None = None
        self._check_failed: Callable[[MailError], Request | None] | None = None

    def _peer_changed(self) -> None:
        super()._peer_changed()
        peer, settings = self._peer, self.settings
        self.has_to_be_itself: bool = (
            settings.check_senders and self.service.rights is not None
            if peer.login
            else peer.trusted and _ANYBODY not in settings.trusted_senders
        )
        """Whether there is any address that this client may not send as."""

    def _check_reverse_path(self, reverse_path: Address, then: AfterSender) -> Request | None:
        """Go on with ``then`` if the client, whose sender is restricted, may use this reverse-path."""
        return self._ask((reverse_path,), partial(self._reverse_path_checked, then), self._reverse_path_unknown)

    def _reverse_path_checked(self, then: AfterSender, refused: Address | None) -> Request | None:
        if refused is None:
            return then()
        octets = replies.not_authorized(553, refused)
        self._note("smtp.sender_refused", octets, policy="send_as")
        self._forget_transaction()
        self.refuse(octets)
        return None

    def _reverse_path_unknown(self, error: MailError) -> None:
        self._forget_transaction()
        self.say(replies.error_reply(error))

    def _check_originators(self, message: ReceivedMessage, then: AfterSender) -> Request | None:
        """Go on with ``then`` if the client, whose sender is restricted, may send as every author and sender that the
        header names."""
        found = originators_of(message.header, self.settings.max_originators)
        if found.problem:
            return self._refuse_message(SenderRefused(f"The message {found.problem}"))
        return self._ask(found.addresses, partial(self._originators_checked, then), self._refuse_message)

    def _originators_checked(self, then: AfterSender, refused: Address | None) -> Request | None:
        if refused is None:
            return then()
        return self._refuse_message(SenderRefused(f"Not authorized to send as <{refused}>"))

    def _refuse_message(self, error: MailError) -> Request:
        self._errors += 1
        self.message_refused(error)
        return DropMessage()

    def message_refused(self, error: MailError) -> None:
        """The message was not accepted; nothing of it remains."""
        raise NotImplementedError

    def _ask(
        self, addresses: Sequence[Address], then: AfterCheck, failed: Callable[[MailError], Request | None]
    ) -> Request | None:
        if self._peer.login:
            self._after_check, self._check_failed = then, failed
            return CheckSenders(self._peer.login, tuple(addresses))
        allowed = self.settings.trusted_senders
        return then(next((address for address in addresses if not is_listed(address, allowed)), None))

    def senders_checked(self, refused: Address | None) -> Request | None:
        """The first of the addresses that the user may not send as, as CheckSenders wanted."""
        then, self._after_check = self._after_check, None
        assert then is not None, "no sender was to be checked"
        return self._slowed(then(refused))

    def senders_unknown(self, error: MailError) -> Request | None:
        """The rights cannot be looked up now."""
        failed, self._after_check = self._check_failed, None
        assert failed is not None, "no sender was to be checked"
        return self._slowed(failed(error))
