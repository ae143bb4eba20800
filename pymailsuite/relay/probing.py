"""Asks a mail host whether it would take a bounce to an address, and sends none. Source: RFC 5321 §3.3.

The dialogue is a pure core; a refusal counts only as the reply to RCPT. A host that refuses another command, or
requires TLS first, has given no verdict on the address.
"""

from __future__ import annotations

import random
from typing import Any, Final

import idna
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.errors import MailError
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.policy import IRecipientProbe, ProbeAnswer, ProbeResult
from pymailsuite.relay.connector import endpoint_of
from pymailsuite.relay.route import Routes, Target, Unroutable
from pymailsuite.smtp.client import BadReply, Reply, ReplyReader, mail_command, rcpt_command
from pymailsuite.values import Address

_NO_HOST: Final = ProbeAnswer(ProbeResult.UNKNOWN, "no host to ask")


class ProbeSession:
    """One dialogue with one host: replies in, commands out. ``answer`` is set when it is over."""

    def __init__(self, host: str, helo_name: str, address: Address) -> None:
        """UnsendableAddress."""
        self._host = host
        self._commands = [
            f"EHLO {helo_name}\r\n".encode("ascii"),
            mail_command(None),
            rcpt_command(address),
        ]
        self._sent = 0
        self.answer: ProbeAnswer | None = None

    def received(self, reply: Reply) -> bytes:
        """The next command after this reply."""
        if self.answer is not None:
            return b""
        if self._sent < len(self._commands):
            if reply.positive:
                self._sent += 1
                return self._commands[self._sent - 1]
            self._end(ProbeResult.UNKNOWN, str(reply))
        elif reply.positive:
            self._end(ProbeResult.ACCEPTED, str(reply))
        else:
            # 4yz often means greylisting. RFC 7504: 521 and 556 are about the host.
            refuses = reply.permanent and reply.code not in (521, 556) and not reply.enhanced.startswith("5.7.")
            self._end(ProbeResult.REFUSED if refuses else ProbeResult.UNKNOWN, str(reply))
        return b"QUIT\r\n"

    def lost(self, why: str) -> None:
        """The connection was lost, or cannot be used."""
        if self.answer is None:
            self._end(ProbeResult.UNKNOWN, why)

    def _end(self, result: ProbeResult, said: str) -> None:
        self.answer = ProbeAnswer(result, said, self._host)


class _ProbeProtocol(Protocol):
    transport: Any

    def __init__(self, session: ProbeSession) -> None:
        self._session = session
        self._reader = ReplyReader()
        self.answered: Deferred[ProbeAnswer] = Deferred(lambda _: self.transport.abortConnection())

    def dataReceived(self, data: bytes) -> None:
        self._reader.receive(data)
        try:
            while (reply := self._reader.next_reply()) is not None:
                self.transport.write(self._session.received(reply))
                if self._session.answer is not None:
                    self._tell()
        except BadReply as error:
            self._session.lost(str(error))
            self._tell()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._session.lost(f"connection lost: {reason.getErrorMessage()}")
        self._tell()

    def _tell(self) -> None:
        self.transport.loseConnection()
        answer = self._session.answer
        if answer is not None and not self.answered.called:
            self.answered.callback(answer)


class _OneProtocol(Factory):
    noisy = False

    def __init__(self, protocol: _ProbeProtocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._protocol


@implementer(IRecipientProbe)
class RecipientProbe:
    """Finds hosts as for mail, but ignores a relayhost, which would accept any address. ``reactor`` is IReactorTCP as
    well."""

    def __init__(
        self,
        settings: RelaySettings,
        host_name: str,
        resolver: IResolver,
        reactor: IReactorTime,
        rng: random.Random | None = None,
        address_filter: AddressFilter | None = None,
    ) -> None:
        self._settings = settings
        self._host_name = host_name
        direct = settings.model_copy(update={"relayhost": ""})
        # Randomness only shares load among equal hosts.
        self._routes = Routes(direct, resolver, (host_name,), rng or random.Random(), address_filter)  # noqa: S311
        self._reactor = reactor

    def probe(self, address: Address, hosts: int) -> Deferred[ProbeAnswer]:
        return Deferred.fromCoroutine(self._ask(address, hosts))

    async def _ask(self, address: Address, hosts: int) -> ProbeAnswer:
        answer = _NO_HOST
        try:
            domain = idna.encode(address.domain, uts46=True).decode("ascii").lower()
            targets = await self._routes.find(domain)
            for target in targets[:hosts]:
                answer = await self._ask_host(target, Address(address.local_part, domain))
                if answer.result is not ProbeResult.UNKNOWN:
                    break
        except Unroutable as reason:
            return ProbeAnswer(ProbeResult.UNKNOWN, reason.text)
        except (idna.IDNAError, MailError) as error:
            return ProbeAnswer(ProbeResult.UNKNOWN, str(error))
        return answer

    async def _ask_host(self, target: Target, address: Address) -> ProbeAnswer:
        protocol = _ProbeProtocol(ProbeSession(target.host, self._host_name, address))
        try:
            await endpoint_of(target, self._settings, self._reactor).connect(_OneProtocol(protocol))
        except CancelledError:
            raise
        except (ConnectError, ConnectingCancelledError, OSError) as error:
            return ProbeAnswer(ProbeResult.UNKNOWN, f"cannot connect: {error}", target.host)
        return await protocol.answered
