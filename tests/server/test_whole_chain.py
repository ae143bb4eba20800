"""All checks together in whole servers: honest and other clients, played by PROXY header, and a made-up zone."""

from __future__ import annotations

import imaplib
import re
import smtplib
import socket
import ssl
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509

from pymailsuite.policy.dkim import SigningKey, generate_key, sign_message
from tests.acceptance import acceptance
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S
from tests.support.proxied import ProxiedSmtp
from tests.support.server import Server, TunedServer, running

HONEST, CROOK, LISTED, DYNAMIC = "203.0.113.9", "203.0.113.66", "203.0.113.77", "203.0.113.10"
KEY = SigningKey("honest.example", "s1", generate_key("ed25519"))
OUR_KEY = SigningKey("example.test", "s2", generate_key("ed25519"))
ZONE = {
    ("honest.example", "MX"): ["10 mx.honest.example."],
    ("honest.example", "TXT"): ['"v=spf1 mx -all"'],
    ("mx.honest.example", "A"): [HONEST],
    (KEY.name, "TXT"): [f'"{KEY.private.record_text()}"'],
    ("_dmarc.honest.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("9.113.0.203.in-addr.arpa", "PTR"): ["mx.honest.example."],
    ("crook.example", "MX"): ["10 mx.crook.example."],
    ("crook.example", "TXT"): ['"v=spf1 mx -all"'],
    ("mx.crook.example", "A"): [CROOK, LISTED],
    ("66.113.0.203.in-addr.arpa", "PTR"): ["mx.crook.example."],
    ("77.113.0.203.in-addr.arpa", "PTR"): ["mx.crook.example."],
    ("77.113.0.203.bl.example", "A"): ["127.0.0.2"],
    ("dyn-203-0-113-10.provider.example", "A"): [DYNAMIC],
    ("10.113.0.203.in-addr.arpa", "PTR"): ["dyn-203-0-113-10.provider.example."],
    ("provider.example", "MX"): ["10 mx.provider.example."],
    # Ourselves, as other.test sees us.
    ("example.test", "MX"): ["10 mail.example.test."],
    ("example.test", "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
    ("mail.example.test", "A"): ["127.0.0.1"],
    (OUR_KEY.name, "TXT"): [f'"{OUR_KEY.private.record_text()}"'],
    ("_dmarc.example.test", "TXT"): ['"v=DMARC1; p=reject; adkim=s; aspf=s"'],
    ("1.0.0.127.in-addr.arpa", "PTR"): ["mail.example.test."],
}
FORGED = b"Authentication-Results: mail.example.test; dkim=pass header.d=bank.example\r\n"
FOREIGN = b"Authentication-Results: elsewhere.example; spf=none smtp.helo=x.example\r\n"


def message_from(author: str, subject: str) -> bytes:
    """With the fields signers look for."""
    return (
        f"From: <{author}>\r\nTo: <ann@example.test>\r\nSubject: {subject}\r\n"
        f"Date: Mon, 2 Feb 2026 02:40:00 +0000\r\nMessage-ID: <{subject}@client>\r\n\r\nHello\r\n"
    ).encode()


def headers_of(server: Server, login: str, wanted: int, timeout_s: float = PATIENCE_S) -> list[str]:
    """The headers of the INBOX, unfolded, once there are as many as wanted."""
    deadline = time.monotonic() + timeout_s
    with imaplib.IMAP4("127.0.0.1", server.port(143)) as reader:
        reader.login(login, "test")
        while True:
            there = int(reader.select()[1][0] or 0)
            if there >= wanted:
                found: Any = reader.fetch("1:*", "(BODY.PEEK[HEADER])")[1]
                return [re.sub(r"\r\n[ \t]+", " ", part[1].decode()) for part in found if isinstance(part, tuple)]
            assert time.monotonic() < deadline, f"{there} messages of {wanted}"
            time.sleep(0.1)


class Client:
    """A client that plays another address."""

    def __init__(self, server: Server, ip: str = "", timeout_s: float = PATIENCE_S) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port(25)), timeout=timeout_s)
        self._stream: Any = self._socket.makefile("rb")
        if ip:
            self._socket.sendall(f"PROXY TCP4 {ip} 127.0.0.1 4711 25\r\n".encode())
        self.greeting = self._reply()

    def _reply(self) -> str:
        while True:
            line: str = self._stream.readline().decode()
            if line[3:4] != "-":
                return line.rstrip()

    def say(self, line: str) -> str:
        """The last line of the reply."""
        self._socket.sendall(line.encode() + b"\r\n")
        return self._reply()

    def send(self, helo: str, sender: str, recipient: str, text: bytes) -> list[str]:
        """A whole message; the replies up to the first that is not positive."""
        replies = []
        for line in (f"EHLO {helo}", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            replies.append(self.say(line))
            if replies[-1][:1] not in "23":
                return replies
        self._socket.sendall(text)
        return [*replies, self.say(".")]

    def close(self) -> None:
        """Without a word."""
        self._stream.close()
        self._socket.close()


class WholeChainTests(unittest.TestCase):
    """One server with every check, told of a zone."""

    server: ClassVar[TunedServer]

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        zone = cls.enterClassContext(ZoneServer(ZONE))
        settings = {
            "smtp": {"proxy_protocol": ["127.0.0.0/8"], "trusted_networks": [], "plaintext_login": True},
            "dns": {"servers": [zone.address]},
            "dnsbl": {"lists": [{"zone": "bl.example", "action": "reject"}]},
            "policy": {"tag_score": 3.0},
        }
        cls.server = TunedServer(Path(folder), ["ann", "bob", "cy", "dan"], settings)
        cls.enterClassContext(running(cls.server))

    def client(self, ip: str) -> Client:
        client = Client(self.server, ip)
        self.addCleanup(client.close)
        return client

    @acceptance("S152")
    def test_an_honest_sender_is_taken_and_all_that_is_found_is_told(self) -> None:
        message = message_from("joe@honest.example", "honest")
        signed = b"".join(sign_message(message, [KEY], time.time())) + message
        replies = self.client(HONEST).send(
            "mx.honest.example", "joe@honest.example", "ann@example.test", FORGED + FOREIGN + signed
        )
        self.assertTrue(replies[-1].startswith("250 2.0.0 "), replies)
        header = headers_of(self.server, "ann@example.test", 1)[0]
        ours = next(
            line for line in header.split("\r\n") if line.startswith("Authentication-Results: mail.example.test;")
        )
        for part in (
            "iprev=pass (mx.honest.example) policy.iprev=203.0.113.9",
            "smtp.mailfrom=joe@honest.example",
            "dkim=pass",
            "header.d=honest.example",
            "dmarc=pass (p=reject dis=none) header.from=honest.example",
        ):
            self.assertIn(part, ours)
        self.assertRegex(ours, r"spf=pass \([^)]*\) smtp\.mailfrom=")
        self.assertNotIn("bank.example", header)
        self.assertIn("elsewhere.example; spf=none", header)
        self.assertNotIn("X-Policy-Score", header)

    def test_a_forged_author_is_refused_by_the_policy_of_his_domain(self) -> None:
        text = message_from("ceo@honest.example", "forged")
        replies = self.client(CROOK).send("mx.crook.example", "x@crook.example", "bob@example.test", text)
        self.assertEqual(len(replies), 5)
        self.assertTrue(replies[-1].startswith("550 5.7.1 Refused by the DMARC policy of honest.example"), replies)

    def test_a_forged_sender_is_refused_by_spf(self) -> None:
        replies = self.client(CROOK).send("mx.crook.example", "joe@honest.example", "bob@example.test", b"")
        self.assertEqual(len(replies), 3)
        self.assertTrue(replies[-1].startswith("550 5.7.23 SPF MAIL FROM check failed"), replies)

    def test_a_listed_client_is_refused(self) -> None:
        replies = self.client(LISTED).send("mx.crook.example", "x@crook.example", "bob@example.test", b"")
        self.assertEqual(len(replies), 3)
        self.assertTrue(replies[-1].startswith("550 5.7.1 203.0.113.77 is listed at bl.example"), replies)

    def test_a_dynamic_looking_client_is_marked(self) -> None:
        text = message_from("x@provider.example", "dynamic")
        client = self.client(DYNAMIC)
        replies = client.send("dyn-203-0-113-10.provider.example", "x@provider.example", "cy@example.test", text)
        self.assertTrue(replies[-1].startswith("250 2.0.0 "), replies)
        header = headers_of(self.server, "cy@example.test", 1)[0]
        self.assertRegex(header, r"X-Policy-Score: [\d.]+ \(.*dynamic_names.*\)")

    def test_a_broken_helo_is_refused_at_once(self) -> None:
        for name in ("localhost", "nodots", "203.0.113.9", "mail.example.test"):
            replies = self.client(HONEST).send(name, "joe@honest.example", "bob@example.test", b"")
            self.assertEqual(len(replies), 1)
            self.assertTrue(replies[0].startswith("550 5.7.1 "), (name, replies))

    def test_a_user_who_has_logged_in_is_not_checked(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port(587), local_hostname="localhost", timeout=PATIENCE_S) as client:
            client.login("bob@example.test", "test")
            client.sendmail("bob@example.test", ["dan@example.test"], message_from("bob@example.test", "own"))
        header = headers_of(self.server, "dan@example.test", 1)[0]
        for word in ("spf=", "dmarc=", "iprev=", "Received-SPF", "X-Policy-Score"):
            self.assertNotIn(word, header)

    @acceptance("S163")
    def test_nothing_is_relayed_for_strangers(self) -> None:
        """What open-relay testers try, from the address of a host that all checks let pass."""
        senders = ("joe@honest.example", "", "ann@example.test", "ann@[127.0.0.1]")
        recipients = (
            "relay@elsewhere.example",
            "relay%elsewhere.example@example.test",
            "relay%elsewhere.example@[127.0.0.1]",
            '"relay@elsewhere.example"',
            '"relay%elsewhere.example"@example.test',
            '"relay@elsewhere.example"@example.test',
            "relay@elsewhere.example@example.test",
            "@example.test:relay@elsewhere.example",
            "elsewhere.example!relay",
            "elsewhere.example!relay@example.test",
            "relay@[203.0.113.200]",
            "ann@example.test@elsewhere.example",
        )
        for sender in senders:
            for recipient in recipients:
                with self.subTest(sender=sender, recipient=recipient):
                    client = self.client(HONEST)
                    client.say("EHLO mx.honest.example")
                    if client.say(f"MAIL FROM:<{sender}>").startswith("250"):
                        self.assertRegex(client.say(f"RCPT TO:<{recipient}>"), "^5")
                    self.assertRegex(client.say("DATA"), "^5")

    @acceptance("S260")
    def test_it_stands_the_test_that_web_pages_make_of_mail_servers(self) -> None:
        """Connect, EHLO, STARTTLS, MAIL and RCPT for elsewhere: names that agree, TLS, no relay, and no waiting."""
        began = time.monotonic()
        with ProxiedSmtp(HONEST, self.server.port(25)) as client:
            # What reverse DNS of the address says, here by the zone, is how the banner and EHLO begin.
            (name,) = ZONE["1.0.0.127.in-addr.arpa", "PTR"]
            self.assertEqual(client.greeting.split()[0].decode() + ".", name)
            connected = time.monotonic()
            client.ehlo("diagnosis.honest.example")
            self.assertTrue(client.ehlo_resp is not None and client.ehlo_resp.startswith(name[:-1].encode()))
            self.assertTrue(client.has_extn("starttls"))
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
            certificate = client.sock.getpeercert(binary_form=True)
            names = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            )
            self.assertIn(name[:-1], names.value.get_values_for_type(x509.DNSName))
            client.ehlo("diagnosis.honest.example")
            self.assertEqual(client.mail("supertool@honest.example")[0], 250)
            code, text = client.rcpt("test@honest.example")
            self.assertEqual((code, text[:6]), (550, b"5.7.1 "))
            client.quit()
        self.assertLess(connected - began, 5.0)
        self.assertLess(time.monotonic() - began, 15.0)


class OutgoingTests(unittest.TestCase):
    """What our users send, as another server of our kind sees it."""

    @acceptance("S266")
    def test_it_is_signed_aligned_and_encrypted_and_one_click_unsubscribe_stays(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        zone = self.enterContext(ZoneServer(ZONE))
        dns = {"servers": [zone.address]}
        for name in ("receiver", "sender"):
            (folder / name).mkdir()
        strict = {"smtp": {"trusted_networks": []}, "dns": dns, "iprev": {"action": "reject"}}
        receiver = TunedServer(folder / "receiver", ["zoe"], strict, domain="other.test")
        self.enterContext(running(receiver))
        key_file = folder / "s2.pem"
        key_file.write_bytes(OUR_KEY.private.pem())
        key_file.chmod(0o600)
        settings = {
            "dns": dns,
            "relay": {"relayhost": f"127.0.0.1:{receiver.port(25)}"},
            "dkim_sign": {"keys": [{"domain": "example.test", "selector": "s2", "file": str(key_file)}]},
        }
        sender = TunedServer(folder / "sender", ["ann"], settings)
        self.enterContext(running(sender))
        unsubscribe = (
            b"List-Unsubscribe: <https://example.test/u/1>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        )
        with smtplib.SMTP("127.0.0.1", sender.port(587), timeout=PATIENCE_S) as client:
            client.login("ann@example.test", "test")
            text = unsubscribe + message_from("ann@example.test", "newsletter")
            client.sendmail("ann@example.test", ["zoe@other.test"], text)
        header = headers_of(receiver, "zoe@other.test", 1)[0]
        ours = next(
            line for line in header.split("\r\n") if line.startswith("Authentication-Results: mail.other.test;")
        )
        for part in ("iprev=pass", "smtp.mailfrom=ann@example.test", "dkim=pass", "dmarc=pass (p=reject dis=none)"):
            self.assertIn(part, ours)
        self.assertRegex(ours, r"spf=pass \([^)]*\) smtp\.mailfrom=ann@example\.test")
        self.assertIn(unsubscribe.decode(), header)
        self.assertRegex(header, r"Received: from mail\.example\.test .*\s+by mail\.other\.test .*ESMTPS")
        # RFC 8058 §4: both fields are signed.
        signed = next(line for line in header.replace("\r\n ", "").split("\r\n") if line.startswith("DKIM-Signature:"))
        self.assertRegex(signed.lower(), r"h=[^;]*:list-unsubscribe:list-unsubscribe-post\b")


class SilentDns:
    """A name server that takes every question and answers none; ``address`` is where."""

    def __enter__(self) -> SilentDns:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()


class DeadDnsTests(unittest.TestCase):
    """Twenty messages at once while no name server answers."""

    COUNT = 20

    def send_all(self, server: Server) -> tuple[list[list[str]], float]:
        """The replies each client got, and how long the slowest took, from its connection to the last."""
        results: list[list[str]] = []
        longest: list[float] = []

        def send(number: int) -> None:
            began = time.monotonic()
            client = Client(server, f"203.0.113.{100 + number}")
            text = message_from("joe@honest.example", f"n{number}")
            signed = b"".join(sign_message(text, [KEY], time.time())) + text
            results.append(client.send("mx.honest.example", f"n{number}@honest.example", "ann@example.test", signed))
            client.close()
            longest.append(time.monotonic() - began)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(self.COUNT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(results), self.COUNT)
        return results, max(longest)

    def serving(self, **tables: dict[str, Any]) -> Server:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        silent = self.enterContext(SilentDns())
        settings: dict[str, dict[str, Any]] = {
            "smtp": {
                "proxy_protocol": ["127.0.0.0/8"],
                "trusted_networks": [],
                "plaintext_login": True,
            },
            # What is not answered would be waited for much longer than the budget.
            "dns": {"servers": [silent.address], "timeout": 60, "lifetime": 60},
            **tables,
        }
        return self.enterContext(running(TunedServer(Path(folder), ["ann"], settings)))

    def test_by_default_all_are_asked_to_come_back_within_the_budget(self) -> None:
        replies, longest_s = self.send_all(self.serving())
        for each in replies:
            self.assertTrue(each[-1].startswith("451 4.1.8 "), each)
        self.assertLess(longest_s, 30)

    def test_where_the_sender_need_not_be_known_all_are_taken_within_the_budget(self) -> None:
        server = self.serving(
            policy={"budget": 3.0, "message_budget": 6.0},
            spf={"temperror": "mark"},
            sender_domain={"action": "log"},
        )
        replies, longest_s = self.send_all(server)
        for each in replies:
            self.assertTrue(each[-1].startswith("250 2.0.0 "), each)
        self.assertLess(longest_s, 30)
        headers = headers_of(server, "ann@example.test", self.COUNT)
        self.assertEqual(len(headers), self.COUNT)
        self.assertIn("spf=temperror", headers[0])
