"""The HTTPS server: requests of twisted.web in, pages out."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from pymailsuite.config.sections.web import WebSettings
from pymailsuite.errors import MailError
from pymailsuite.web.pages import FAILED, TOO_LONG, Page, PageRequest, Pages
from pymailsuite.wire.refusal_counts import RefusalCounts

log = Logger()

_CUT_OFF_AFTER: Final = 16
"""So many times the longest body is read, and dropped, before the answer that says so; then nobody listens any more."""


class WebFactory(WrappingFactory):
    """The site for so many connections at once; ``refusal_counts`` are told of more."""

    noisy = False

    def __init__(
        self, settings: WebSettings, pages: Pages, reactor: IReactorTime, refusal_counts: RefusalCounts
    ) -> None:
        super().__init__(_Site(settings, pages, reactor))  # type: ignore[no-untyped-call]
        self._most = settings.connections
        self._refusal_counts = refusal_counts

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]  # None hangs up
        """A protocol, unless there are too many."""
        if len(self.protocols) >= self._most:
            self._refusal_counts.note("https", "too_many_connections", getattr(addr, "host", ""), b"")
            return None
        return super().buildProtocol(addr)


class _Site(Site):
    noisy = False
    displayTracebacks = False

    def __init__(self, settings: WebSettings, pages: Pages, reactor: IReactorTime) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            _Everything(pages), _BoundedRequest, timeout=settings.idle, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.request_size = settings.request_size

    def log(self, request: Any) -> None:
        """A line for each answer. Queries hold addresses, and are left out."""
        log.info(
            "{event} {method} {host} {path} {status} for {peer_ip}",
            event="web.answered",
            method=request.method.decode("ascii", "replace"),
            host=request.getRequestHostname().decode("latin-1"),
            path=request.path.decode("latin-1"),
            status=request.code,
            peer_ip=request.getClientAddress().host,
        )


class _BoundedRequest(Request):
    """A request that keeps no more of its body than it may have, and keeps it in memory."""

    channel: Any  # whose ``site`` is ours
    is_too_long = False
    _size = 0

    def gotLength(self, length: int | None) -> None:
        """The header is there."""
        self._body = self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body is there."""
        most: int = self.channel.site.request_size
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
        """Answer now or later, unless whoever asked has gone."""
        answered = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda gone: answered.cancel())
        return NOT_DONE_YET

    async def _answer(self, request: Any) -> None:
        try:
            page = TOO_LONG if request.is_too_long else await self._pages.answer(_asked(request))
        except CancelledError:
            return
        except MailError as error:
            log.warn("{event}: {reason}", event="web.failed", reason=str(error))
            page = FAILED
        except Exception:
            log.failure("{event}", event="web.failed")
            page = FAILED
        _send(page, request)


def _asked(request: Any) -> PageRequest:
    return PageRequest(
        request.method.decode("ascii", "replace"),
        request.getRequestHostname().decode("latin-1").lower().rstrip("."),
        request.path.decode("latin-1"),
        request.args.get(b"emailaddress", [b""])[0].decode("utf-8", "replace"),
        request.content.read(),
    )


def _send(page: Page, request: Any) -> None:
    request.setResponseCode(page.status)
    request.setHeader("Server", "pymailsuite")
    request.setHeader("Content-Type", page.content_type)
    request.setHeader("Content-Length", str(len(page.body)))
    request.setHeader("X-Content-Type-Options", "nosniff")
    for name, value in page.fields:
        request.setHeader(name, value)
    if request.method != b"HEAD":
        request.write(page.body)
    request.finish()
