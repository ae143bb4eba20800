"""The MTA-STS policy, as senders would find it."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseNeverReceived

from pymailsuite.config.sections.dns_setup import DnsSetupSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.dns_setup.checking import Finding, Status
from pymailsuite.policy.dns_setup.mta_sts import TIMEOUT_S, StsPolicyChecker, is_covered
from pymailsuite.policy.dns_setup.records import mta_sts_policy
from tests.acceptance import acceptance

HOST = "mx.example.com"
URL = "https://mta-sts.xn--bcher-kva.example/.well-known/mta-sts.txt"


class Web:
    """An IAgent with one page."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def request(self, method: bytes, uri: bytes, headers: Any, body: Any) -> Deferred[Any]:
        self.asked.append(uri.decode())
        if self.answer is None:
            return Deferred()
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(Page(*self.answer))


class Page:
    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        self._body = body

    def deliverBody(self, protocol: Any) -> None:
        protocol.transport = self
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))

    def abortConnection(self) -> None:
        """The end comes in any case."""


class PolicyTests(SynchronousTestCase):
    def finding(self, answer: Any, **zone: Any) -> Finding:
        zone = zone or {"a": {"mta-sts.bücher.example": ["192.0.2.80"]}}
        clock = Clock()
        self.web = Web(answer)
        asked = StsPolicyChecker(FakeResolver(**zone), HOST, clock, self.web).check("bücher.example")
        clock.advance(TIMEOUT_S)
        return self.successResultOf(asked)

    @acceptance("S159")
    def test_what_we_say_is_to_be_served_is_ok(self) -> None:
        for mode in ("testing", "enforce"):
            text = mta_sts_policy(HOST, DnsSetupSettings(mta_sts=mode)).encode()
            found = self.finding((200, text))
            self.assertEqual((Status.OK, URL), (found.status, found.subject))
            self.assertIn(f"mode: {mode}", found.found)
        self.assertEqual([URL], self.web.asked)

    def test_what_keeps_mail_away_or_is_no_policy_is_different(self) -> None:
        refused = ResponseNeverReceived([Failure(SSL.Error([("x509", "", "certificate verify failed")]))])
        for answer, words in (
            ((200, b"version: STSv1\nmode: enforce\nmx: other.example.com\nmax_age: 1\n"), "mx: mx.example.com"),
            ((200, b"<html>hello: you</html>"), "no policy"),
            ((200, b"x" * 100_000), "Too large"),
            ((301, b""), "serve the policy"),
            (refused, "certificate verify failed"),
            (ConnectionRefusedError("nobody there"), "nobody there"),
            (None, "cannot be fetched"),
        ):
            found = self.finding(answer)
            self.assertEqual((Status.DIFFERENT, True), (found.status, found.is_wrong), answer)
            self.assertIn(words, found.fix)

    def test_mail_comes_without_one(self) -> None:
        found = self.finding((200, b""), a={HOST: ["192.0.2.1"]})
        self.assertEqual((Status.MISSING, False), (found.status, found.is_wrong))
        self.assertEqual([], self.web.asked)
        self.assertIs(Status.UNKNOWN, self.finding((200, b""), failing=["mta-sts.bücher.example"]).status)

    def test_a_policy_at_an_address_of_this_host_alone_is_not_fetched(self) -> None:
        found = self.finding((200, b""), a={"mta-sts.bücher.example": ["127.0.0.1"]})
        self.assertEqual((found.status, found.found), (Status.DIFFERENT, "127.0.0.1"))
        self.assertIn("loopback", found.fix)
        self.assertEqual(self.web.asked, [])

    def test_a_star_stands_for_one_label(self) -> None:
        for pattern, covered in (("MX.example.com", True), ("*.example.com", True), ("*.com", False), ("*", False)):
            self.assertEqual(covered, is_covered(HOST, pattern), pattern)
