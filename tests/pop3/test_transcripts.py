"""The dialogues in tests/transcripts/pop3."""

from twisted.trial.unittest import SynchronousTestCase

from tests.pop3.support import CoreConversation, WireConversation, world_of
from tests.support.transcripts import transcripts


def _core(case, transcript):
    return CoreConversation(world_of(transcript))


def _protocol(case, transcript):
    world = world_of(transcript)
    (where,) = transcript.arguments("from") or ["127.0.0.1"]
    return WireConversation(world, ip=where, tls=bool(transcript.arguments("tls")))


@transcripts("pop3", core=_core, protocol=_protocol)
class Pop3Transcripts(SynchronousTestCase):
    pass


@transcripts("pop3_connection", protocol=_protocol)
class Pop3ConnectionTranscripts(SynchronousTestCase):
    pass
