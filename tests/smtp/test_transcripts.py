"""The dialogues of ``tests/transcripts/smtp``."""

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp import conversations
from tests.support.transcripts import transcripts


@transcripts("smtp", core=conversations.core, protocol=conversations.protocol)
class TranscriptTests(SynchronousTestCase):
    """A test for each dialogue and each way of running it."""
