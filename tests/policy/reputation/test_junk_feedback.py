"""What users say goes to those who were verified."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.interfaces.reputation import Event, Identity, JunkReport
from pymailsuite.message.authentication_results import authentication_results_field
from pymailsuite.policy.reputation.junk_feedback import JunkFeedbackListener
from tests.acceptance import acceptance

OURS = authentication_results_field(
    "mail.example",
    [
        MethodResult("iprev", "fail", properties=(("policy.iprev", "192.0.2.7"),)),
        MethodResult("spf", "pass", properties=(("smtp.mailfrom", "a@client.example"),)),
        MethodResult("dkim", "fail", properties=(("header.d", "bank.example"),)),
    ],
)
THEIRS = authentication_results_field(
    "other.example", [MethodResult("dkim", "pass", properties=(("header.d", "bank.example"),))]
)


class Heard:
    """An IReputation that remembers."""

    def __init__(self) -> None:
        self.noted: list[tuple[tuple[Identity, ...], Event]] = []

    def note(self, identities: tuple[Identity, ...], event: Event) -> None:
        self.noted.append((identities, event))


class JunkListenerTests(SynchronousTestCase):
    @acceptance("S162")
    def test_our_own_results_tell_whose_the_message_was(self) -> None:
        heard = Heard()
        listener = JunkFeedbackListener(ReputationSettings(), heard, "mail.example")  # type: ignore[arg-type]
        listener.heard(JunkReport(True, b"Return-Path: <a@client.example>\r\n" + OURS + THEIRS))
        listener.heard(JunkReport(False, THEIRS))
        verified = (
            Identity("address", "a@client.example"),
            Identity("domain", "client.example"),
            Identity("network", "192.0.2.0/24"),
        )
        self.assertEqual(heard.noted, [(verified, Event.JUNK), ((), Event.NOT_JUNK)])
