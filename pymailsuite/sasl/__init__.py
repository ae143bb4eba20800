"""SASL mechanisms (RFC 4422), apart from any protocol that carries them.

A server mechanism is a pure conversation: it is given the client's octets (base64 undone) and answers with a challenge
or with credentials for ``twisted.cred``; whether those are right is for the portal to say. Protocols drive it through
an :class:`Exchange` and do the framing: :func:`decode_initial`, :func:`decode_response` and :func:`encode_challenge`
are the base64 form that SMTP, IMAP and POP3 share.
"""

from pymailsuite.sasl.client import ClientLogin, ClientMechanism, ClientPlain, choose_client_mechanism
from pymailsuite.sasl.exchange import Exchange, Outcome, Pending
from pymailsuite.sasl.framing import (
    Cancelled,
    MalformedResponse,
    decode_initial,
    decode_response,
    encode_challenge,
)
from pymailsuite.sasl.mechanism import Challenge, Done, Lookup, SaslPassword, ServerMechanism, Step
from pymailsuite.sasl.saslprep import saslprep
from pymailsuite.sasl.scram import ChannelBinding, IScramProof, ScramKeys, ScramServer
from pymailsuite.sasl.server import KeysOf, LoginServer, Mechanisms, Offered, PlainServer, mechanisms

__all__ = [
    "Cancelled",
    "Challenge",
    "ChannelBinding",
    "ClientLogin",
    "ClientMechanism",
    "ClientPlain",
    "Done",
    "Exchange",
    "IScramProof",
    "KeysOf",
    "LoginServer",
    "Lookup",
    "MalformedResponse",
    "Mechanisms",
    "Offered",
    "Outcome",
    "Pending",
    "PlainServer",
    "SaslPassword",
    "ScramKeys",
    "ScramServer",
    "ServerMechanism",
    "Step",
    "choose_client_mechanism",
    "decode_initial",
    "decode_response",
    "encode_challenge",
    "mechanisms",
    "saslprep",
]
