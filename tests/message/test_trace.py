"""Trace fields. Source: RFC 5321 §4.4."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.headers import fields, parse_date
from pymailsuite.message.trace import (
    count_received,
    date_field,
    delivered_to,
    delivered_to_field,
    message_id,
    received_field,
    return_path_field,
    with_protocol,
)
from pymailsuite.values import Address, Peer
from tests.acceptance import acceptance

NOW = 1795314010.0
ALICE = Address("alice", "x.example")


class ReceivedTests(SynchronousTestCase):
    def test_all_that_is_known_of_the_peer(self) -> None:
        peer = Peer(
            "192.0.2.1", 25, "mail.y.example", "rev.y.example", True, "TLSv1.3 TLS_AES_256_GCM_SHA384", "bob@x.example"
        )
        self.assertEqual(
            b"Received: from mail.y.example (rev.y.example [192.0.2.1])\r\n"
            b"\tby mx.x.example (pymailsuite) with ESMTPSA id Q7\r\n"
            b"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
            b"\tfor <alice@x.example>;\r\n"
            b"\tSun, 22 Nov 2026 02:20:10 +0000\r\n",
            received_field(peer, "mx.x.example", "Q7", NOW, recipients=[ALICE]),
        )

    def test_several_recipients_are_not_named(self) -> None:
        field = received_field(Peer("192.0.2.1"), "mx", "Q", NOW, recipients=[ALICE, Address("bcc", "x.example")])
        self.assertNotIn(b"for <", field)

    def test_a_hostile_greeting_cannot_end_the_field(self) -> None:
        field = received_field(Peer("2001:db8::1", helo="x)\r\nEvil: yes\xe9" + "y" * 500), "mx", "Q", NOW)
        self.assertEqual([b"Received"], [name for name, _ in fields(field)])
        self.assertIn(b"from x???Evil:?yes?yyy", field)
        self.assertIn(b"(unknown [IPv6:2001:db8::1])", field)
        self.assertLess(len(field), 600)

    def test_a_message_of_our_own_has_no_from_clause(self) -> None:
        self.assertEqual(
            b"Received: by mx (pymailsuite) id Q;\r\n\tSun, 22 Nov 2026 02:20:10 +0000\r\n",
            received_field(Peer(""), "mx", "Q", NOW),
        )

    def test_protocol_words(self) -> None:
        plain, tls = Peer("x"), Peer("x", esmtp=True, tls="TLSv1.3")
        self.assertEqual("SMTP", with_protocol(plain))
        self.assertEqual("ESMTPS", with_protocol(tls))
        self.assertEqual("ESMTPA", with_protocol(Peer("x", esmtp=True, login="a")))
        self.assertEqual("UTF8SMTPS", with_protocol(tls, smtputf8=True))
        self.assertEqual("LMTP", with_protocol(plain, lmtp=True))
        self.assertEqual("UTF8LMTPS", with_protocol(tls, lmtp=True, smtputf8=True))

    def test_addresses_beyond_ascii_only_with_smtputf8(self) -> None:
        recipients = [Address("é", "x.example")]
        self.assertNotIn(b"for", received_field(Peer("x"), "mx", "Q", NOW, recipients=recipients))
        self.assertIn(
            "for <é@x.example>".encode(),
            received_field(Peer("x"), "mx", "Q", NOW, recipients=recipients, smtputf8=True),
        )

    @acceptance("S051")
    def test_no_field_of_ours_makes_a_message_need_smtputf8(self) -> None:
        joe = Address("joe", "bücher.example")
        for smtputf8 in (False, True):
            field = received_field(
                Peer("192.0.2.1", helo="mx.bücher.example"), "mx", "Q", NOW, recipients=[joe], smtputf8=smtputf8
            )
            self.assertIn(b"for <joe@xn--bcher-kva.example>", field)
            self.assertIn(b"from mx.xn--bcher-kva.example (", field)
            self.assertTrue(field.isascii())
        self.assertEqual(b"Return-Path: <joe@xn--bcher-kva.example>\r\n", return_path_field(joe))
        self.assertEqual(b"Delivered-To: joe@xn--bcher-kva.example\r\n", delivered_to_field(joe))

    def test_a_greeting_that_is_no_name_is_no_reason_either(self) -> None:
        for helo in ("Ω" * 300, "\u200d.example", "é..b", "\udc80"):
            self.assertTrue(received_field(Peer("192.0.2.1", helo=helo), "mx", "Q", NOW, smtputf8=True).isascii())


class OtherFieldTests(SynchronousTestCase):
    def test_fields_of_one_copy(self) -> None:
        self.assertEqual(b"Return-Path: <>\r\n", return_path_field(None))
        self.assertEqual(b'Return-Path: <"a b"@x.example>\r\n', return_path_field(Address("a b", "x.example")))
        self.assertEqual(b"Delivered-To: alice@x.example\r\n", delivered_to_field(ALICE))

    def test_hops_are_counted(self) -> None:
        header = b"Received: a\r\n received: no\r\nRECEIVED : b\r\nX-Received: c\r\nDelivered-To: A@b\r\n\r\n"
        self.assertEqual(2, count_received(header))
        self.assertEqual(["a@b"], delivered_to(header))

    def test_dates_and_identifiers(self) -> None:
        self.assertEqual(b"Date: Sun, 22 Nov 2026 02:20:10 +0000\r\n", date_field(NOW))
        self.assertEqual(NOW, parse_date(date_field(NOW)[5:]))
        self.assertNotEqual(message_id("mx"), message_id("mx"))
        self.assertTrue(message_id("mx").endswith("@mx>"))
