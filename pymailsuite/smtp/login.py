"""One AUTH exchange: base64 lines around a SASL mechanism. Source: RFC 4954 §4."""

from __future__ import annotations

from twisted.cred.credentials import ICredentials

from pymailsuite.errors import PeerError
from pymailsuite.sasl import Challenge, ServerMechanism, Step, decode_initial, decode_response, encode_challenge


class LoginExchange:
    """The exchange of one AUTH command.

    Both methods answer the line to send, or the credentials once the client has said all. They raise what the framing
    and the mechanism raise: PeerError (Cancelled, MalformedResponse, ...) and LoginRefused. The exchange is then over.
    """

    def __init__(self, mechanism: ServerMechanism) -> None:
        self._mechanism = mechanism
        self._credentials: ICredentials | None = None

    def begin(self, initial: str) -> bytes | ICredentials:
        """With the initial response of the command, empty if it had none."""
        return self._answer(self._mechanism.start(decode_initial(initial.encode()) if initial else None))

    def go_on(self, line: bytes) -> bytes | ICredentials:
        """With the client's next line."""
        octets = decode_response(line)
        if self._credentials is None:
            return self._answer(self._mechanism.respond(octets))
        if octets:
            raise PeerError("An empty response was expected")
        return self._credentials

    def _answer(self, step: Step) -> bytes | ICredentials:
        if isinstance(step, Challenge):
            return b"334 %b\r\n" % encode_challenge(step.octets)
        if step.final is None:
            return step.credentials
        # SMTP has no place for data that comes with success: it goes as a challenge, to which the answer is empty.
        self._credentials = step.credentials
        return b"334 %b\r\n" % encode_challenge(step.final)
