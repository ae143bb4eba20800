"""The policy ``correspondents``: has no opinion, and remembers the addresses that users have written to."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from pymailsuite.config.sections.greylist import CorrespondentSettings
from pymailsuite.interfaces.greylist import ICorrespondents
from pymailsuite.interfaces.policy import MailTransaction, PolicyContext, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.greylist.senders import without_tag

log = Logger()


class CorrespondentsPolicy(Policy):
    """Mail does not wait for its writes."""

    name = "correspondents"

    def __init__(self, settings: CorrespondentSettings, correspondents: ICorrespondents) -> None:
        self._settings = settings
        self._correspondents = correspondents

    def data(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """All recipients are known."""
        sender, recipients = transaction.reverse_path, transaction.recipients
        if transaction.peer.login and sender is not None and len(recipients) <= self._settings.recipients_max:
            others = {without_tag(recipient) for recipient in recipients}
            noted = self._correspondents.note(without_tag(sender), others, self._settings.keep)
            noted.addErrback(lambda failure: log.failure("{event}", failure, event="correspondents.not_noted"))
        return succeed(NO_OPINION)


class InactiveCorrespondentsPolicy(Policy):
    """In its place where greylisting does not use it."""

    name = "correspondents"


def make_policy(context: PolicyContext) -> CorrespondentsPolicy | InactiveCorrespondentsPolicy:
    """For the plugin."""
    greylist = context.settings.greylist
    if greylist.action == "off" or not greylist.known_correspondents:
        return InactiveCorrespondentsPolicy()
    correspondents = context.needs(ICorrespondents)
    return CorrespondentsPolicy(context.section, correspondents)
