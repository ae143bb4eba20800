"""Local lists: entries, what they match, where they come from, and what follows."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.lists import ListSettings, ListSource
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.lists import IFetchedLists, IListStore, ListEntry
from pymailsuite.interfaces.policy import Action, IPolicy, MailTransaction, PolicyReply, Stage, Verdict
from pymailsuite.policy.lists.entries import EntryIndex, Subject, entries_in_text, entry_of
from pymailsuite.policy.lists.fetching import ListFetcher, ListRefused, read_list
from pymailsuite.policy.lists.local_policy import LocalListPolicy
from pymailsuite.policy.lists.sources import EntrySources, FileSource, StoreSource, UrlSource
from pymailsuite.values import Address, Peer
from tests.acceptance import acceptance
from tests.support.stores import make_store

NOW = 1_770_000_000.0


def at_once(function: Any, *arguments: Any) -> Deferred[Any]:
    return maybeDeferred(function, *arguments)


class EntryTests(SynchronousTestCase):
    def test_values_are_kept_in_the_form_in_which_they_are_compared(self) -> None:
        expected = {
            "192.0.2.77/24": ("ip", "192.0.2.0/24"),
            "2001:DB8::1": ("ip", "2001:db8::1/128"),
            "Bücher.Example": ("domain", "xn--bcher-kva.example"),
            "*.bad.example": ("domain", "bad.example"),
            "Joe@Bad.Example": ("address", "joe@bad.example"),
            "helo:Friend": ("helo", "friend"),
            "domain:192.0.2.1": ("domain", "192.0.2.1"),
        }
        for text, (kind, value) in expected.items():
            entry = entry_of(text, "deny")
            self.assertEqual((entry.kind, entry.value), (kind, value), text)
        for text in ("", "a b", "a..b", "@bad.example", "ip:x", "address:x", "ip:192.0.2.0/33", "helo:"):
            with self.assertRaises(ValueError, msg=text):
                entry_of(text, "deny")

    def test_a_file_has_an_entry_a_line(self) -> None:
        text = "# ours\n\n192.0.2.0/24 a bad network\nallow good.example  # friends\nDENY helo:ylmf-pc\nallow\n"
        with self.assertRaisesRegex(ValueError, "line 2"):
            list(entries_in_text("good.example\nallow a..b"))
        entries = list(entries_in_text(text))
        self.assertEqual(
            [(entry.verdict, entry.kind, entry.value, entry.comment) for entry in entries],
            [
                ("deny", "ip", "192.0.2.0/24", "a bad network"),
                ("allow", "domain", "good.example", ""),
                ("deny", "helo", "ylmf-pc", ""),
                ("deny", "domain", "allow", ""),
            ],
        )

    @acceptance("S165")
    def test_networks_domains_addresses_and_names_match_and_allow_comes_first(self) -> None:
        text = "192.0.2.0/24\nallow 192.0.2.9\n2001:db8::/32\nbad.example\nallow joe@bad.example\nhelo:ylmf-pc"
        index = EntryIndex(entries_in_text(text))

        def said(**known: Any) -> list[str]:
            return [f"{entry.verdict} {entry.value}" for entry in index.find(Subject(**known), ("",), NOW)]

        self.assertEqual(said(ip="192.0.2.1"), ["deny 192.0.2.0/24"])
        self.assertEqual(said(ip="::ffff:192.0.2.9"), ["allow 192.0.2.9/32", "deny 192.0.2.0/24"])
        self.assertEqual(said(ip="2001:db8:ffff::1"), ["deny 2001:db8::/32"])
        self.assertEqual(said(ip="198.51.100.1"), [])
        self.assertEqual(said(names=("mx.Bad.example",)), ["deny bad.example"])
        self.assertEqual(said(names=("notbad.example",)), [])
        self.assertEqual(
            said(names=("bad.example",), address="Joe@bad.example"), ["allow joe@bad.example", "deny bad.example"]
        )
        self.assertEqual(said(helo="YLMF-PC"), ["deny ylmf-pc"])

    @acceptance("S168")
    def test_an_entry_that_has_expired_says_nothing(self) -> None:
        index = EntryIndex([ListEntry("deny", "helo", "x", expires_at=NOW + 10)])
        self.assertEqual(len(index.find(Subject(helo="x"), ("",), NOW)), 1)
        self.assertEqual(index.find(Subject(helo="x"), ("",), NOW + 10), [])


class LocalListPolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.addCleanup(self.store.close)
        verifyObject(IListStore, self.store.lists)
        self.policy = self.make_policy()

    def make_policy(self, **settings: Any) -> LocalListPolicy:
        sources = EntrySources([StoreSource(self.store.lists)], 10, self.clock)
        policy = LocalListPolicy(ListSettings(**settings), sources, self.clock)
        verifyObject(IPolicy, policy)
        return policy

    def add(self, *entries: ListEntry) -> None:
        self.successResultOf(self.store.lists.add(entries))

    def ask(self, stage: Stage, **known: Any) -> Verdict:
        peer = Peer("192.0.2.1", helo="mx.bad.example")
        transaction = MailTransaction(stage, peer, "mail.example.test", **known)
        return self.successResultOf(getattr(self.policy, stage.value)(transaction))

    @acceptance("S007")
    def test_a_network_is_refused_when_it_connects(self) -> None:
        self.add(entry_of("192.0.2.0/24", "deny"))
        verdict = self.ask(Stage.CONNECT)
        self.assertEqual(verdict.action, Action.REJECT)
        self.assertEqual(verdict.reply, PolicyReply(550, "5.7.1", "Refused by a local list"))
        self.policy = self.make_policy(at_once=True, text="Not for you")
        self.assertEqual(self.ask(Stage.CONNECT).reply, PolicyReply(554, "5.7.1", "Not for you"))

    def test_names_in_helo_and_senders_are_looked_for(self) -> None:
        self.add(entry_of("helo:mx.bad.example", "deny"), entry_of("spam.example", "deny"))
        self.assertEqual(self.ask(Stage.HELO).action, Action.REJECT)
        sender = Address("joe", "news.spam.example")
        self.assertEqual(self.ask(Stage.MAIL, reverse_path=sender).action, Action.REJECT)
        self.assertEqual(self.ask(Stage.MAIL, reverse_path=None), Verdict())

    @acceptance("S165")
    def test_allow_goes_before_deny(self) -> None:
        self.add(entry_of("spam.example", "deny"), entry_of("joe@spam.example", "allow"))
        self.assertEqual(self.ask(Stage.MAIL, reverse_path=Address("joe", "spam.example")).action, Action.ACCEPT)

    @acceptance("S169")
    def test_a_domain_and_a_user_have_lists_of_their_own(self) -> None:
        self.add(
            entry_of("jobs.example", "deny", scope="example.test"),
            entry_of("promo.example", "deny", scope="ann@example.test", action="junk"),
            entry_of("ads.example", "deny", scope="ann@example.test", action="discard"),
        )
        ann, bob = Address("Ann+shop", "example.test"), Address("bob", "example.test")
        cases = [
            ("jobs.example", bob, Action.REJECT, "reject"),
            ("promo.example", bob, Action.PASS, None),
            ("promo.example", ann, Action.TAG, "junk"),
            ("ads.example", ann, Action.TAG, "discard"),
        ]
        for domain, recipient, action, disposition in cases:
            verdict = self.ask(Stage.RCPT, reverse_path=Address("hr", domain), recipient=recipient)
            self.assertEqual((verdict.action, verdict.evidence.get("disposition")), (action, disposition), domain)
        self.assertEqual(self.ask(Stage.MAIL, reverse_path=Address("hr", "jobs.example")), Verdict())
        sales, sender = Address("sales", "example.test"), Address("hr", "promo.example")
        verdict = self.ask(Stage.RCPT, reverse_path=sender, recipient=sales, account=Address("ann", "example.test"))
        self.assertEqual(verdict.evidence.get("scope"), "ann@example.test")

    def test_a_change_is_seen_after_the_refresh(self) -> None:
        self.assertEqual(self.ask(Stage.CONNECT), Verdict())
        self.add(entry_of("192.0.2.1", "deny"))
        self.assertEqual(self.ask(Stage.CONNECT), Verdict())
        self.clock.advance(11)
        self.ask(Stage.CONNECT)
        self.assertEqual(self.ask(Stage.CONNECT).action, Action.REJECT)
        self.assertEqual(self.successResultOf(self.store.lists.remove("", "ip", "192.0.2.1/32")), 1)
        self.clock.advance(11)
        self.ask(Stage.CONNECT)
        self.assertEqual(self.ask(Stage.CONNECT), Verdict())

    def test_without_the_store_the_last_entries_stand(self) -> None:
        self.add(entry_of("192.0.2.1", "deny"))
        self.assertEqual(self.ask(Stage.CONNECT).action, Action.REJECT)

        def fails() -> Any:
            raise StoreUnavailable

        self.patch(self.store.lists, "revision", fails)
        self.clock.advance(11)
        self.ask(Stage.CONNECT)
        self.assertEqual(self.ask(Stage.CONNECT).action, Action.REJECT)


class StoreTests(SynchronousTestCase):
    def test_entries_are_replaced_listed_by_scope_and_expire(self) -> None:
        clock = Clock()
        clock.advance(NOW)
        store = make_store(clock)
        self.addCleanup(store.close)
        first = entry_of("bad.example", "deny", scope="example.test")
        short = ListEntry("allow", "helo", "x", expires_at=NOW + 5)
        self.successResultOf(store.lists.add([first, short, first]))
        self.assertEqual(self.successResultOf(store.lists.entries(None)), [short, first])
        self.assertEqual(self.successResultOf(store.lists.entries("example.test")), [first])
        before = self.successResultOf(store.lists.revision())
        clock.advance(6)
        self.assertEqual(self.successResultOf(store.lists.entries("")), [])
        self.successResultOf(store.lists.add([entry_of("192.0.2.1", "deny")]))
        self.assertGreater(self.successResultOf(store.lists.revision()), before)
        self.assertEqual(self.successResultOf(store.lists.remove("", "helo", "x")), 0)


class Web:
    """An IAgent whose pages are a table; each has the digest of its text as its ETag."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self.asked: list[str] = []
        self.unchanged = 0

    def request(self, method: bytes, uri: bytes, headers: Headers, body: Any) -> Deferred[Any]:
        self.asked.append(uri.decode())
        page = self.pages.get(uri.decode())
        response = Response(page)
        if page is not None and headers.getRawHeaders("If-None-Match") == [etag_of(page)]:
            self.unchanged += 1
            response.code = 304
        return succeed(response)


def etag_of(page: bytes) -> str:
    return f'"{hashlib.md5(page, usedforsecurity=False).hexdigest()}"'


class Response:
    def __init__(self, body: bytes | None) -> None:
        self.code = 404 if body is None else 200
        self._body = body or b""
        self.headers = Headers({"ETag": [etag_of(self._body)], "Last-Modified": ["Sun, 22 Nov 2026 10:00:00 GMT"]})

    def deliverBody(self, protocol: Any) -> None:
        protocol.transport = self
        self._protocol = protocol
        for start in range(0, len(self._body), 10):
            protocol.dataReceived(self._body[start : start + 10])
        protocol.connectionLost(Failure(ResponseDone()))

    def abortConnection(self) -> None:
        self._protocol.connectionLost(Failure(ResponseDone()))


@implementer(IHostnameResolver)
class SystemResolver:
    """Takes names for addresses as the C library does."""

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, *args: Any, **options: Any) -> Any:
        receiver.resolutionBegan(self)
        ip = "127.0.0.1" if hostName.startswith("0x7f") else hostName
        address = IPv6Address("TCP", ip, portNumber) if ":" in ip else IPv4Address("TCP", ip, portNumber)
        receiver.addressResolved(address)
        receiver.resolutionComplete()
        return self


URL = "http://x.example/l"


class FetchTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.addCleanup(self.store.close)
        self.web = Web({URL: b"192.0.2.1\nbad.example\n"})

    def url_source(self, **options: Any) -> UrlSource:
        source = ListSource(name="far", url=URL, interval=3600, **options)
        fetcher = ListFetcher(self.clock, self.web)
        return UrlSource(source, self.store.fetched_lists, fetcher, at_once, self.clock)

    def look(self, source: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(source.look()))

    @acceptance("S168")
    def test_a_list_is_fetched_again_after_its_interval_and_kept_for_the_next_start(self) -> None:
        source = self.url_source()
        self.assertFalse(self.look(source))
        self.assertTrue(self.look(source))
        self.assertEqual([entry.value for entry in source.entries], ["192.0.2.1/32", "bad.example"])
        self.assertEqual({entry.source for entry in source.entries}, {"far"})
        self.assertFalse(self.look(source))
        self.web.pages[URL] = b"192.0.2.2\n"
        self.clock.advance(3601)
        self.assertTrue(self.look(source))
        self.assertEqual([entry.value for entry in source.entries], ["192.0.2.2/32"])
        self.web.pages.clear()
        again = self.url_source()
        self.assertTrue(self.look(again))
        self.assertEqual([entry.value for entry in again.entries], ["192.0.2.2/32"])

    @acceptance("S168")
    def test_a_list_that_is_not_what_it_should_be_is_not_taken(self) -> None:
        body = self.web.pages[URL]
        self.web.pages["http://x.example/l.sha256"] = hashlib.sha256(b"other").hexdigest().encode() + b"  l\n"
        for options in ({"size_max": 12}, {"entries_min": 3}, {"sha256": "beside"}, {"sha256": "0" * 64}):
            self.clock.advance(301)
            source = self.url_source(**options)
            self.look(source)
            self.failureResultOf(Deferred.fromCoroutine(source.look()), ListRefused)
            self.assertEqual(source.entries, ())
        self.web.pages["http://x.example/l.sha256"] = hashlib.sha256(body).hexdigest().encode() + b"  l\n"
        self.clock.advance(301)
        source = self.url_source(sha256="beside")
        self.look(source)
        self.assertTrue(self.look(source))

    def test_what_a_redirection_leads_to_is_judged_and_what_the_settings_name_is_not(self) -> None:
        for url, location, attempts in (
            ("http://127.0.0.1:8080/l", "http://127.0.0.2/l", ["127.0.0.1"]),
            ("http://192.0.2.80/l", "http://169.254.169.254/latest", ["192.0.2.80"]),
            ("http://192.0.2.80/l", "http://[::ffff:127.0.0.1]/l", ["192.0.2.80"]),
            ("http://192.0.2.80/l", "http://192.0.2.81/l", ["192.0.2.80", "192.0.2.81"]),
            ("http://0x7f.0.0.1/l", "", []),
        ):
            reactor = MemoryReactorClock()
            reactor.nameResolver = SystemResolver()
            fetched = Deferred.fromCoroutine(ListFetcher(reactor).fetch(ListSource(name="far", url=url)))
            fetched.addErrback(lambda failure: None)
            reactor.advance(1)
            for _host, _, factory, *_ in list(reactor.tcpClients):
                transport = StringTransport()
                transport.abortConnection = transport.loseConnection
                protocol = factory.buildProtocol(None)
                protocol.makeConnection(transport)
                protocol.dataReceived(
                    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % location.encode()
                )
                reactor.advance(1)
            self.assertEqual([client[0] for client in reactor.tcpClients], attempts, location)

    def test_a_host_that_is_away_or_says_nonsense_is_one_clean_error(self) -> None:
        class Away:
            error: Exception = ConnectionDone()

            def request(self, method: bytes, uri: bytes, headers: object, body: object) -> Deferred[Any]:
                return fail(self.error)

        agent = Away()
        source = ListSource(name="l", url=URL)
        for error in (ConnectionRefusedError("no"), ConnectionDone(), ResponseFailed([Failure(ValueError("odd"))])):
            agent.error = error
            asked = Deferred.fromCoroutine(ListFetcher(self.clock, agent).fetch(source))
            self.assertIn("cannot be fetched", self.failureResultOf(asked, ListRefused).value.cause)

    def test_an_expiry_lets_the_entries_of_a_dead_list_go(self) -> None:
        source = self.url_source(expiry=7200)
        self.look(source)
        self.assertTrue(self.look(source))
        self.assertEqual({entry.expires_at for entry in source.entries}, {NOW + 7200})
        self.clock.advance(3600)
        self.assertTrue(self.look(source))
        self.assertEqual(1, self.web.unchanged)
        self.assertEqual({entry.expires_at for entry in source.entries}, {NOW + 3600 + 7200})
        self.web.pages.clear()
        self.clock.advance(3600)
        self.failureResultOf(Deferred.fromCoroutine(source.look()), ListRefused)
        self.assertEqual({entry.expires_at for entry in source.entries}, {NOW + 3600 + 7200})

    def test_one_node_fetches_a_list_for_all(self) -> None:
        verifyObject(IFetchedLists, self.store.fetched_lists)
        nodes = [self.url_source() for _ in range(3)]
        for _ in range(20):
            for node in nodes:
                self.look(node)
            self.clock.advance(600)
        for node in nodes:
            self.assertEqual([entry.value for entry in node.entries], ["192.0.2.1/32", "bad.example"])
        # 12,000 seconds: fetched once, and asked for changes after each hour.
        self.assertEqual((4, 3), (len(self.web.asked), self.web.unchanged))
        self.web.pages[URL] = b"192.0.2.2\n"
        self.clock.advance(3600)
        for node in nodes * 2:
            self.look(node)
        self.assertEqual({"192.0.2.2/32"}, {entry.value for node in nodes for entry in node.entries})
        self.assertEqual(5, len(self.web.asked))

    def test_when_one_node_fails_another_tries_again_after_a_while(self) -> None:
        first, second = self.url_source(), self.url_source()
        page = self.web.pages.pop(URL)
        for node in (first, second):
            self.look(node)
        self.failureResultOf(Deferred.fromCoroutine(first.look()), ListRefused)
        self.assertFalse(self.look(second))
        self.web.pages[URL] = page
        self.assertFalse(self.look(second))
        self.clock.advance(301)
        self.assertTrue(self.look(second))
        self.assertTrue(self.look(first))
        self.assertEqual(2, len(self.web.asked))

    def test_what_cannot_be_read_from_the_store_is_read_at_the_next_look(self) -> None:
        self.look(first := self.url_source())
        self.look(first)
        second, lists = self.url_source(), self.store.fetched_lists
        content = lists.content
        self.patch(lists, "content", lambda url: fail(StoreUnavailable()))
        self.failureResultOf(Deferred.fromCoroutine(second.look()), StoreUnavailable)
        self.patch(lists, "content", content)
        self.assertTrue(self.look(second))
        self.assertEqual(2, len(second.entries))

    def test_what_is_kept_is_checked_again_before_it_is_used(self) -> None:
        for _ in range(2):
            self.look(first := self.url_source())
            self.look(first)
        other = b"192.0.2.2\nbad.example\n"
        for options in ({"entries_min": 3}, {"size_max": 12}, {"sha256": hashlib.sha256(other).hexdigest()}):
            source = self.url_source(**options)
            self.failureResultOf(Deferred.fromCoroutine(source.look()), ListRefused)
            self.assertEqual((), source.entries)
        self.web.pages[URL] = other
        self.clock.advance(3600)
        self.assertTrue(self.look(source))
        self.assertEqual("192.0.2.2/32", source.entries[0].value)

    def test_a_file_is_read_when_it_has_changed(self) -> None:
        path = self.folder / "list"
        path.write_text("bad.example\n", encoding="utf-8")
        source = FileSource(ListSource(name="near", file=path), path, at_once)
        self.assertTrue(self.look(source))
        self.assertFalse(self.look(source))
        path.write_text("bad.example\nworse.example\n", encoding="utf-8")
        self.assertTrue(self.look(source))
        path.write_text("a..b\n", encoding="utf-8")
        self.failureResultOf(Deferred.fromCoroutine(source.look()), ListRefused)
        self.assertEqual(len(source.entries), 2)

    def test_a_broken_source_does_not_take_the_others_along(self) -> None:
        near = self.folder / "list"
        near.write_text("bad.example\n", encoding="utf-8")
        missing = FileSource(ListSource(name="gone", file=self.folder / "gone"), self.folder / "gone", at_once)
        sources = EntrySources([missing, FileSource(ListSource(name="near", file=near), near, at_once)], 10, self.clock)
        self.assertEqual(self.successResultOf(sources.index()).count, 1)

    def test_lists_are_kept_fresh_while_no_mail_comes(self) -> None:
        path = self.folder / "list"
        path.write_text("bad.example\n", encoding="utf-8")
        sources = EntrySources([FileSource(ListSource(name="x", file=path), path, at_once)], 10, self.clock)
        (refresh,) = LocalListPolicy(ListSettings(), sources, self.clock).services
        refresh.startService()
        self.assertEqual(sources.fresh_index().count, 1)
        path.write_text("bad.example\nworse.example\n", encoding="utf-8")
        self.clock.advance(ListSettings().refresh)
        self.assertEqual(sources.fresh_index().count, 2)
        self.successResultOf(maybeDeferred(refresh.stopService))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_text_that_is_no_list_is_refused(self) -> None:
        for octets in (b"<!doctype html>\n<html>", b"\xff\xfe", b""):
            with self.assertRaises(ListRefused, msg=repr(octets)):
                read_list(octets, ListSource(name="x", url="http://x.example/l"))
