"""The dialogues of ``tests/transcripts/smtp_policies``."""

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp import policy_conversations
from tests.support.transcripts import transcripts


@transcripts("smtp_policies", protocol=policy_conversations.protocol)
class PolicyTranscriptTests(SynchronousTestCase):
    """A test for each dialogue."""
