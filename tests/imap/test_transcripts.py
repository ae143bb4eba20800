"""The dialogues of tests/transcripts/imap, in one piece and octet by octet."""

from twisted.trial.unittest import SynchronousTestCase

from tests.imap.conversation import Conversation
from tests.support.transcripts import transcripts


@transcripts("imap", core=lambda _, transcript: Conversation(transcript), protocol=lambda _, t: Conversation(t))
class Transcripts(SynchronousTestCase):
    """What is said, line by line."""
