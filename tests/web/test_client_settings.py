"""The documents that mail programs read."""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.web.client_settings import (
    BadRequestError,
    autoconfig_document,
    autodiscover_address,
    autodiscover_document,
    autodiscover_refusal,
)
from tests.web.support import OFFERS, outlook_request

_A = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
_R = "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}"


class AutoconfigTests(SynchronousTestCase):
    def test_servers_are_told_with_tls_from_the_first_octet_first(self) -> None:
        root = ElementTree.fromstring(autoconfig_document("example.com", OFFERS))
        (provider,) = root.findall("emailProvider")
        self.assertEqual(provider.findtext("domain"), "example.com")
        servers = [
            (server.get("type"), server.findtext("hostname"), server.findtext("port"), server.findtext("socketType"))
            for server in provider.findall("incomingServer") + provider.findall("outgoingServer")
        ]
        self.assertEqual(
            servers,
            [
                ("imap", "mx.example.com", "993", "SSL"),
                ("imap", "mx.example.com", "143", "STARTTLS"),
                ("smtp", "mx.example.com", "587", "STARTTLS"),
            ],
        )
        self.assertEqual({name.text for name in provider.iter("username")}, {"%EMAILADDRESS%"})


class AutodiscoverTests(SynchronousTestCase):
    def test_the_best_server_of_each_kind_is_told_with_the_login_name(self) -> None:
        root = ElementTree.fromstring(autodiscover_document("ann&co@example.com", OFFERS))
        found = [
            tuple(protocol.findtext(f"{_A}{name}") for name in ("Type", "Server", "Port", "Encryption", "LoginName"))
            for protocol in root.iter(f"{_A}Protocol")
        ]
        self.assertEqual(
            found,
            [
                ("IMAP", "mx.example.com", "993", "SSL", "ann&co@example.com"),
                ("SMTP", "mx.example.com", "587", "TLS", "ann&co@example.com"),
            ],
        )

    def test_a_refusal_has_a_code(self) -> None:
        root = ElementTree.fromstring(autodiscover_refusal(601, "Provider is not available"))
        self.assertEqual(root.findtext(f"{_R}Response/{_R}Error/{_R}ErrorCode"), "601")

    def test_the_address_is_read(self) -> None:
        self.assertEqual(autodiscover_address(outlook_request("ann&amp;co@example.com")), "ann&co@example.com")
        asked = outlook_request("ann@example.com")
        for form in (asked.replace(b"utf-8", b"x-unknown"), b"\r\n" + asked, asked.decode().encode("utf-16")):
            self.assertEqual(autodiscover_address(form), "ann@example.com")

    def test_what_is_no_such_request_is_refused(self) -> None:
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><EMailAddress>&a;@example.com</EMailAddress>'
        asking_for_sync = outlook_request("ann@example.com", schema="mobilesync")
        too_long = outlook_request("a" * 400 + "@example.com")
        deep, many = b"<a>" * 30 + b"</a>" * 30, b"<a>" + b"<b/>" * 2_000 + b"</a>"
        for body in (b"", b"<a>", b"\xff", b"<a/>", bomb, asking_for_sync, too_long, deep, many):
            self.assertRaises(BadRequestError, autodiscover_address, body)
