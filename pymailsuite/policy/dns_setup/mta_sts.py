"""Whether the MTA-STS policy of a domain is served, and lets mail come to us. Source: RFC 8461 §3.2 and §3.3."""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.web.client import URI, Agent, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.names import ascii_name
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver
from pymailsuite.policy.dns_setup.checking import Finding, Status
from pymailsuite.policy.dns_setup.host import host_addresses
from pymailsuite.policy.response_body import BodyTooLarge, response_body

TIMEOUT_S: Final = 10.0
_SIZE_MAX: Final = 64 * 1024
_FAILURES: Final = (
    *(ConnectError, ConnectingCancelledError, ConnectionClosed, ResponseFailed),
    *(SSL.Error, DeferredTimeout, BodyTooLarge),
)
"""What may be between us and a policy."""


@implementer(IAgentEndpointFactory)
class _At:
    """Connects to an address, whatever the system's resolver says; the certificate must be for the name."""

    def __init__(self, reactor: Any, address: str) -> None:
        self._reactor = reactor
        self._address = address

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = HostnameEndpoint(self._reactor, self._address, uri.port, timeout=TIMEOUT_S)
        return wrapClientTLS(optionsForClientTLS(uri.host.decode("ascii")), host)


def policy_fields(text: str) -> list[tuple[str, str]]:
    """The (key, value) pairs of a policy, in their order."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def is_covered(host: str, pattern: str) -> bool:
    """Whether a policy's ``mx`` is about a host; a star stands for one label. Source: RFC 8461 §4.1."""
    pattern = ascii_name(pattern)
    return host == pattern or (pattern.startswith("*.") and host.partition(".")[2] == pattern[2:])


class StsPolicyChecker:
    """Fetches policies. ``agent`` is an IAgent, for tests; None: one that connects. It does not connect to addresses
    that the address filter objects to: others cannot fetch a policy there either."""

    def __init__(
        self,
        resolver: IResolver,
        hostname: str,
        reactor: Any,
        agent: Any = None,
        address_filter: AddressFilter | None = None,
    ) -> None:
        self._address_filter = address_filter or AddressFilter()
        self._resolver = resolver
        self._hostname = ascii_name(hostname)
        self._reactor = reactor
        self._agent = agent

    def check(self, domain: str) -> Deferred[Finding]:
        """The result for the policy of ``domain``; mail works without one."""
        return Deferred.fromCoroutine(self._check(ascii_name(domain)))

    async def _check(self, domain: str) -> Finding:
        host = f"mta-sts.{domain}"
        url = f"https://{host}/.well-known/mta-sts.txt"
        try:
            addresses = await host_addresses(self._resolver, host)
        except DnsFailure as failure:
            return Finding(url, Status.UNKNOWN, fix=f"it cannot be looked up: {failure.cause}", optional=True)
        if not addresses:
            return Finding(url, Status.MISSING, fix="serve the policy there", optional=True)
        objection = self._address_filter.objection(addresses[0])
        if objection:
            found, fix = addresses[0], f"nobody can fetch it there: the address is {objection}"
            return Finding(url, Status.DIFFERENT, found, fix, optional=True)
        fetched = Deferred.fromCoroutine(self._fetch(url, addresses[0])).addTimeout(TIMEOUT_S, self._reactor)
        try:
            code, body = await fetched
        except _FAILURES as error:
            return Finding(url, Status.DIFFERENT, fix=f"it cannot be fetched: {_cause(error)}", optional=True)
        if code != 200:
            # RFC 8461 §3.3: redirections are not followed.
            return Finding(url, Status.DIFFERENT, f"status {code}", "serve the policy there", optional=True)
        return self._judged(url, policy_fields(body.decode("utf-8", "replace")))

    async def _fetch(self, url: str, address: str) -> tuple[int, bytes]:
        agent = self._agent or Agent.usingEndpointFactory(self._reactor, _At(self._reactor, address))
        response = await agent.request(b"GET", url.encode("ascii"), Headers({"User-Agent": ["pymailsuite"]}), None)
        return response.code, await response_body(response, _SIZE_MAX)

    def _judged(self, url: str, fields: list[tuple[str, str]]) -> Finding:
        found = "; ".join(f"{key}: {value}" for key, value in fields[:20])
        values = dict(fields)
        if values.get("version") != "STSv1" or values.get("mode") not in ("enforce", "testing", "none"):
            return Finding(url, Status.DIFFERENT, found, "it is no policy", optional=True)
        if not any(key == "mx" and is_covered(self._hostname, value) for key, value in fields):
            fix = f"it does not let mail come to {self._hostname}: add mx: {self._hostname}"
            return Finding(url, Status.DIFFERENT, found, fix, optional=True)
        return Finding(url, Status.OK, found, optional=True)


def _cause(error: Exception) -> str:
    """Of several reasons, which Twisted wraps, the first."""
    reasons = getattr(error, "reasons", None)
    return str(reasons[0].value if reasons else error) or type(error).__name__
