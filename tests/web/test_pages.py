"""Who is answered what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from pymailsuite.web.pages import NOT_FOUND, Page, PageRequest
from tests.acceptance import acceptance
from tests.support.directory import MemoryDirectory
from tests.web.support import make_pages, outlook_request


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = MemoryDirectory().with_domain("example.com").with_domain("bücher.example")
        self.pages = make_pages(self.directory)

    def ask(self, host: str, path: str, address: str = "", method: str = "GET", body: bytes = b"") -> Page:
        page: Page = self.successResultOf(self.pages.answer(PageRequest(method, host, path, address, body)))
        return page

    @acceptance("S159")
    def test_the_mta_sts_policy_is_that_of_the_domain_in_the_name_of_the_host(self) -> None:
        page = self.ask("mta-sts.example.com", "/.well-known/mta-sts.txt")
        self.assertEqual(page.status, 200)
        self.assertTrue(page.content_type.startswith("text/plain"))
        self.assertIn(b"mx: mx.example.com\r\n", page.body)
        for host in ("mta-sts.elsewhere.example", "mx.example.com", "example.com", "mta-sts", ""):
            self.assertEqual(self.ask(host, "/.well-known/mta-sts.txt"), NOT_FOUND)

    def test_settings_are_found_by_address_and_by_name_of_the_host(self) -> None:
        for host, path, address in (
            ("autoconfig.example.com", "/mail/config-v1.1.xml", "ann@example.com"),
            ("autoconfig.example.com", "/mail/config-v1.1.xml", ""),
            ("example.com", "/.well-known/autoconfig/mail/config-v1.1.xml", ""),
            ("mx.example.com", "/mail/config-v1.1.xml", "nobody@EXAMPLE.com"),
        ):
            page = self.ask(host, path, address)
            self.assertEqual(page.status, 200)
            self.assertIn(b'id="example.com"', page.body)

    def test_for_another_domain_there_is_nothing(self) -> None:
        for host, address in (("autoconfig.example.com", "ann@elsewhere.example"), ("autoconfig.", ""), ("", "ann@")):
            self.assertEqual(self.ask(host, "/mail/config-v1.1.xml", address), NOT_FOUND)
        self.assertEqual(self.ask("example.com", "/"), NOT_FOUND)

    def test_a_domain_beyond_ascii_is_told_in_a_labels(self) -> None:
        self.assertIn(b'id="xn--bcher-kva.example"', self.ask("x", "/mail/config-v1.1.xml", "ann@bücher.example").body)

    @acceptance("S266")
    def test_outlook_is_told_where_to_find_its_servers(self) -> None:
        page = self.ask("x", "/Autodiscover/Autodiscover.xml", method="POST", body=outlook_request("ann@example.com"))
        self.assertIn(b"<Type>IMAP</Type><Server>mx.example.com</Server><Port>993</Port>", page.body)
        unknown = self.ask("x", "/autodiscover/autodiscover.xml", method="POST", body=outlook_request("a@b.example"))
        self.assertIn(b"<ErrorCode>601</ErrorCode>", unknown.body)
        nonsense = self.ask("x", "/autodiscover/autodiscover.xml", method="POST", body=b"<")
        self.assertIn(b"<ErrorCode>600</ErrorCode>", nonsense.body)

    def test_another_method_is_not_allowed(self) -> None:
        self.assertEqual(self.ask("x", "/autodiscover/autodiscover.xml").fields, (("Allow", "POST"),))
        self.assertEqual(self.ask("x", "/mail/config-v1.1.xml", method="PUT").status, 405)

    def test_that_the_store_is_away_is_no_answer(self) -> None:
        self.directory.failure = StoreUnavailable()
        asked = self.pages.answer(PageRequest("GET", "autoconfig.example.com", "/mail/config-v1.1.xml"))
        self.failureResultOf(asked, StoreUnavailable)
