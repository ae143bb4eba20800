"""Fetches a list from an address: bounded in size and time, and only taken if it is what it should be."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import URI, Agent, RedirectAgent, ResponseFailed
from twisted.web.error import Error as WebError
from twisted.web.http_headers import Headers

from pymailsuite.config.sections.lists import ListSource
from pymailsuite.dns.address_filter import AddressFilter, FilteredReactor
from pymailsuite.errors import TemporaryFailure
from pymailsuite.interfaces.lists import FetchedList, ListEntry
from pymailsuite.policy.lists.entries import entries_in_text
from pymailsuite.policy.response_body import BodyTooLarge, response_body

TIMEOUT_S: Final = 60.0
_UNREACHABLE: Final = (ConnectError, ConnectionClosed, ResponseFailed, WebError)
"""What Twisted makes of a host that is away, breaks off, or says what is no HTTP."""
_DIGEST_SIZE_MAX: Final = 4096
_VALIDATOR_MAX: Final = 1000
_NOT_MODIFIED: Final = 304


class ListRefused(TemporaryFailure):
    """A list that could not be fetched, or is not what it should be."""

    text = "List not taken"


@frozen
class Fetched:
    """A list, and what its address said about it (RFC 9110 §8.8): with that, it can be asked for changes only."""

    octets: bytes
    etag: str = ""
    last_modified: str = ""


class ListFetcher:
    """Fetches over HTTP. ``agent`` is an IAgent, the reactor's own if None; that one does not connect to addresses the
    address filter objects to, unless the address of a list names them itself."""

    def __init__(self, reactor: Any, agent: Any = None, address_filter: AddressFilter | None = None) -> None:
        self._clock: IReactorTime = reactor
        self._address_filter = address_filter or AddressFilter()
        self._agent = agent

    def _agent_for(self, url: bytes) -> Any:
        if self._agent is not None:
            return self._agent
        judged = FilteredReactor(self._clock, self._address_filter, _named_addresses(url))
        return RedirectAgent(Agent(judged, connectTimeout=TIMEOUT_S / 2))

    async def fetch(self, source: ListSource, known: FetchedList | None = None) -> Fetched | None:
        """A list, with the digest it should have; None if it still is the one that is known. ListRefused, or what the
        network says."""
        fetched = await self._body(source.url, source.size_max, known)
        if fetched is None:
            return None
        wanted = source.sha256.lower()
        if wanted == "beside":
            beside = await self._body(f"{source.url}.sha256", _DIGEST_SIZE_MAX)
            words = beside.octets.decode("ascii", "replace").split() if beside is not None else []
            wanted = words[0].lower() if words else ""
        if source.sha256 and hashlib.sha256(fetched.octets).hexdigest() != wanted:
            raise ListRefused(cause="it has another digest")
        return fetched

    def _body(self, url: str, size_max: int, known: FetchedList | None = None) -> Deferred[Fetched | None]:
        fetched = Deferred.fromCoroutine(self._get(url, size_max, known))
        return fetched.addTimeout(TIMEOUT_S, self._clock)

    async def _get(self, url: str, size_max: int, known: FetchedList | None) -> Fetched | None:
        headers = Headers({"User-Agent": ["pymailsuite"]})
        if known is not None and known.etag:
            headers.addRawHeader("If-None-Match", known.etag)
        if known is not None and known.last_modified:
            headers.addRawHeader("If-Modified-Since", known.last_modified)
        address = url.encode("ascii")
        try:
            response = await self._agent_for(address).request(b"GET", address, headers, None)
        except _UNREACHABLE as error:
            raise ListRefused(cause=f"{url} cannot be fetched: {_cause(error)}") from error
        if response.code == _NOT_MODIFIED and known is not None:
            return None
        if response.code != 200:
            raise ListRefused(cause=f"{url} answers {response.code}")
        try:
            octets = await response_body(response, size_max)
        except BodyTooLarge:
            raise ListRefused(cause="it is too large") from None
        except _UNREACHABLE as error:
            raise ListRefused(cause=f"{url} cannot be fetched: {_cause(error)}") from error
        return Fetched(octets, _validator(response.headers, "ETag"), _validator(response.headers, "Last-Modified"))


def _cause(error: Exception) -> str:
    """Of several reasons, which Twisted wraps, the first."""
    reasons = getattr(error, "reasons", None)
    return str(reasons[0].value if reasons else error) or type(error).__name__


def _named_addresses(url: bytes) -> tuple[str, ...]:
    """The addresses that a URL names without asking anybody."""
    host = URI.fromBytes(url).host.decode("ascii").strip("[]")
    return ("127.0.0.1", "::1") if host == "localhost" else (host,)


def _validator(headers: Headers, name: str) -> str:
    (value, *_) = headers.getRawHeaders(name) or [""]
    return value if len(value) <= _VALIDATOR_MAX and value.isascii() else ""


def read_list(octets: bytes, source: ListSource) -> list[ListEntry]:
    """The entries of a list. ListRefused if a line is none, or if they are too few, or if it should be another."""
    if source.sha256 not in ("", "beside") and hashlib.sha256(octets).hexdigest() != source.sha256.lower():
        raise ListRefused(cause="it has another digest")
    if len(octets) > source.size_max:
        raise ListRefused(cause=f"it is larger than {source.size_max} octets")
    try:
        entries = list(entries_in_text(octets.decode("utf-8-sig"), source.verdict, source.action, source.name))
    except ValueError as error:
        raise ListRefused(cause=str(error)) from None
    if len(entries) < source.entries_min:
        raise ListRefused(cause=f"it has {len(entries)} entries, fewer than {source.entries_min}")
    return entries
