"""A policy without an opinion, to derive from."""

from __future__ import annotations

from typing import ClassVar

from twisted.application.service import IService
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from pymailsuite.interfaces.policy import IMessageTap, IPolicy, MailTransaction, Stage, Verdict

NO_OPINION = Verdict()


@implementer(IPolicy)
class Policy:
    """Override the stages at which the policy has something to say; the others cost nothing, since it is not asked
    there."""

    name: ClassVar[str]
    after: ClassVar[tuple[str, ...]] = ()
    services: tuple[IService, ...] = ()
    silent_at: frozenset[Stage] = frozenset()

    def connect(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return succeed(NO_OPINION)

    def helo(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return succeed(NO_OPINION)

    def mail(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return succeed(NO_OPINION)

    def rcpt(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return succeed(NO_OPINION)

    def data(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return succeed(NO_OPINION)

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return succeed(NO_OPINION)

    def tap(self, transaction: MailTransaction) -> IMessageTap | None:
        return None

    def speaks_after_recipients(self, transaction: MailTransaction) -> bool:
        own = type(self)
        return own.data is not Policy.data or own.message is not Policy.message
