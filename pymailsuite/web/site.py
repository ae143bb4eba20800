"""The HTTPS server: requests of twisted.web in, pages out."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.web.http import datetimeToString
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from pymailsuite.config.sections.web import WebSettings
from pymailsuite.errors import MailError
from pymailsuite.web.channel import Channel, ReloadOnHangup
from pymailsuite.web.pages import FAILED, NO_PROXY, TOO_LONG, UNCLEAR, Page, PageRequest, Pages
from pymailsuite.wire.addresses import address_key
from pymailsuite.wire.refusal_counts import RefusalCounts
from pymailsuite.wire.tally import Tally

log = Logger()

_SHOWN_MAX: Final = 200
"""Characters of what a stranger said that the log shows."""
_HOST: Final = re.compile(r"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?", re.ASCII)
_URL: Final = re.compile(r"https?://([^/]*)(/.*)?", re.IGNORECASE)
_CUT_OFF_AFTER: Final = 16
"""So many times the longest body is read, and dropped, before the answer that says so; then nobody listens any more."""


class WebFactory(Site):
    """The site for so many connections at once, and of each address; ``refusal_counts`` are told of more."""

    noisy = False
    displayTracebacks = False
    protocol = Channel  # type: ignore[assignment]

    def __init__(
        self, settings: WebSettings, pages: Pages, reactor: IReactorTime, refusal_counts: RefusalCounts
    ) -> None:
        # The channel has its own deadlines: those of twisted.web begin anew with each octet.
        super().__init__(  # type: ignore[no-untyped-call]
            _Everything(pages), _BoundedRequest, timeout=None, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.settings = settings
        self.tally = Tally()
        """Connections by address; under ``""`` all there are."""
        self._refusal_counts = refusal_counts

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A channel, or one that is closed at once if there are too many."""
        ip = getattr(addr, "host", "") or ""
        key, settings = address_key(ip), self.settings
        if self.tally[""] >= settings.connections or (key and self.tally[key] >= settings.connections_per_address):
            self._refusal_counts.note("https", "too_many_connections", ip, b"")
            return ReloadOnHangup()
        channel: Any = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        channel.key = key
        for each in {"", key}:
            self.tally.add(each)
        return channel

    def count_no_more(self, channel: Channel) -> None:
        """A connection has ended."""
        for each in {"", channel.key}:
            self.tally.remove(each)

    def log(self, request: Any) -> None:
        """A line for each answer. Queries hold addresses, and are left out."""
        log.info(
            "{event} {method} {host} {path} {status} for {peer_ip}",
            event="web.answered",
            method=_shown(request.method),
            host=_shown(request.getHeader("host") or ""),
            path=_shown(request.path),
            status=request.code,
            peer_ip=request.getClientAddress().host,
        )


def _shown(text: bytes | str) -> str:
    """Text of an unknown client, made safe for the log."""
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return ascii(text[:_SHOWN_MAX])[1:-1]


class _BoundedRequest(Request):
    """A request that keeps no more of its body than it may have, and keeps it in memory."""

    channel: Any  # whose ``site`` is ours
    is_too_long = False
    _size = 0

    def process(self) -> None:
        """The request is there: all paths, ``*`` too, are one resource's."""
        self.site = self.channel.site
        self.site.resource.render(self)

    def gotLength(self, length: int | None) -> None:
        """The header is there."""
        self._body = self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body is there."""
        most: int = self.channel.site.settings.request_size
        self._size += len(data)
        self.is_too_long = self._size > most
        if not self.is_too_long:
            self._body.write(data)
        elif self._size > most * _CUT_OFF_AFTER:
            self.channel.forceAbortClient()


class _Everything(Resource):
    """One resource for all paths: which there are is for the pages to know."""

    isLeaf = True

    def __init__(self, pages: Pages) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._pages = pages

    def render(self, request: Any) -> int:
        """Answer now or later, unless the client has gone."""
        gone = request.notifyFinish()
        answered = Deferred.fromCoroutine(self._answer(request, gone))
        gone.addErrback(lambda _: answered.cancel())
        return NOT_DONE_YET

    async def _answer(self, request: Any, gone: Deferred[None]) -> None:
        try:
            turn = request.channel.my_turn()
            if turn is not None:
                await turn
            page = await self._page(request)
        except CancelledError:
            if gone.called:
                return
            # By somebody else than whoever asked, who is still there.
            log.warn("{event}: {reason}", event="web.failed", reason="called off")
            page = FAILED
        except MailError as error:
            log.warn("{event}: {reason}", event="web.failed", reason=str(error))
            page = FAILED
        except Exception:
            log.failure("{event}", event="web.failed")
            page = FAILED
        _send(page, request)

    async def _page(self, request: Any) -> Page:
        asked = _asked(request)
        if isinstance(asked, Page):
            request.channel.close_after(request)
            return asked
        return TOO_LONG if request.is_too_long else await self._pages.answer(asked)


def _asked(request: Any) -> PageRequest | Page:
    """The request, or why it cannot be read: then its end is not known either."""
    headers = request.requestHeaders
    codings = headers.getRawHeaders("transfer-encoding", [])
    if codings and (len(codings) > 1 or codings[0].lower() != "chunked" or request.clientproto != b"HTTP/1.1"):
        return UNCLEAR
    if codings and headers.hasHeader("content-length"):
        return UNCLEAR
    if request.method == b"CONNECT":
        return NO_PROXY
    hosts = headers.getRawHeaders("host", [])
    if len(hosts) > 1 or (not hosts and request.clientproto != b"HTTP/1.0"):
        return UNCLEAR
    path = request.uri.decode("latin-1").partition("?")[0]
    host = hosts[0] if hosts else ""
    if not path.startswith("/") and path != "*":
        # RFC 9112 §3.2.2: the host in a whole URL goes before that of the field.
        url = _URL.fullmatch(path)
        if url is None:
            return UNCLEAR
        host, path = url[1], url[2] or "/"
    name = _HOST.fullmatch(host)
    if name is None:
        return UNCLEAR
    return PageRequest(
        request.method.decode("ascii", "replace"),
        name[1].lower().rstrip("."),
        path,
        request.args.get(b"emailaddress", [b""])[0].decode("utf-8", "replace"),
        request.content.read(),
    )


def _send(page: Page, request: Any) -> None:
    request.setResponseCode(page.status)
    request.setHeader("Server", "pymailsuite")
    request.setHeader("Date", datetimeToString())
    request.setHeader("Content-Type", page.content_type)
    request.setHeader("Content-Length", str(len(page.body)))
    request.setHeader("X-Content-Type-Options", "nosniff")
    for name, value in page.fields:
        request.setHeader(name, value)
    if request.method != b"HEAD":
        request.write(page.body)
    request.finish()
