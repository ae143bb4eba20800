"""The parameters of DSN: which values are taken, and as what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings
from pymailsuite.interfaces import Notify, Ret
from pymailsuite.smtp.client import mail_command, rcpt_command
from pymailsuite.smtp.extensions.dsn import parse_envid, parse_notify, parse_orcpt, parse_ret
from pymailsuite.smtp.grammar import ArgumentRefused, parse_forward_path, parse_reverse_path
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.smtp.conversations import Server

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
BOB = Address("bob", "b.example")
S, F, D = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY


class ValueTests(SynchronousTestCase):
    def check(self, parse: Callable[[str], Any], good: dict[str, Any], bad: tuple[str, ...]) -> None:
        for value, parsed in good.items():
            with self.subTest(value=value):
                self.assertEqual(parse(value), parsed)
        for value in bad:
            with self.subTest(value=value):
                error = self.assertRaises(ArgumentRefused, parse, value)
                self.assertEqual((error.smtp_code, error.enhanced_code), (501, "5.5.4"))

    def test_ret(self) -> None:
        self.check(parse_ret, {"FULL": Ret.FULL, "hdrs": Ret.HDRS}, ("", "BODY", "FULL,HDRS"))

    def test_notify(self) -> None:
        good = {"NEVER": Notify.NEVER, "never": Notify.NEVER, "SUCCESS": S, "Failure,DELAY": F | D}
        good |= {"SUCCESS,FAILURE,DELAY": S | F | D, "DELAY,DELAY": D}
        bad = ("", ",", "SUCCESS,", "NEVER,SUCCESS", "SUCCESS,NEVER", "NEVER,NEVER", "ALWAYS", "SUCCESS;DELAY")
        self.check(parse_notify, good, bad)

    def test_envid(self) -> None:
        good = {"QQ314159": "QQ314159", "a+2Bb+3Dc+20d": "a+b=c d", "x" * 100: "x" * 100, "+41" * 100: "A" * 100}
        bad = ("", "a+b", "a+2b", "a+", "a+2", "a+0D+0A", "a+7F", "a+C3+A9", "é", "a=b", "x" * 101, "+41" * 101)
        self.check(parse_envid, good, bad)

    def test_orcpt(self) -> None:
        good = {
            "rfc822;a@b.example": "rfc822;a@b.example",
            "RFC822;a+2Bx@b.example": "RFC822;a+x@b.example",
            "x400;/C=de/".replace("=", "+3D"): "x400;/C=de/",
            "utf-8;zo\\x{EB}@b.example": "utf-8;zoë@b.example",
            "UTF-8;zoë@b.example": "UTF-8;zoë@b.example",
            "rfc822;" + "x" * 493: "rfc822;" + "x" * 493,
        }
        bad = (
            *("", "a@b.example", "rfc822;", ";a@b.example", "rfc 822;a@b.example", "rfc822;a+@b.example"),
            *("rfc822;zoë@b.example", "rfc822;a+0A@b.example", "rfc822;" + "x" * 494, "utf-8;" + "é" * 248),
            *(
                "utf-8;a\\x{A}b",
                "utf-8;a\\x{0A}b",
                "utf-8;a\\x{110000}b",
                "utf-8;a\\x{D800}b",
                "utf-8;a\\b",
                "utf-8;a+b",
            ),
        )
        self.check(parse_orcpt, good, bad)

    @given(st.text(PRINTABLE, min_size=1, max_size=100), st.text(PRINTABLE, min_size=1, max_size=100))
    def test_what_our_client_says_is_understood(self, envid: str, address: str) -> None:
        said = mail_command(BOB, envid=envid).decode().strip("\r\n").partition(":")[2]
        self.assertEqual(parse_envid(parse_reverse_path(said, False)[1]["ENVID"]), envid)
        orcpt = f"rfc822;{address.strip() or 'x'}"
        said = rcpt_command(BOB, orcpt=orcpt).decode().strip("\r\n").partition(":")[2]
        self.assertEqual(parse_orcpt(parse_forward_path(said, False)[1]["ORCPT"]), orcpt)

    @given(st.text(), st.sampled_from((parse_ret, parse_envid, parse_notify, parse_orcpt)))
    def test_nothing_else_is_raised_whatever_comes(self, value: str, parse: Callable[[str], Any]) -> None:
        try:
            parse(value)
        except ArgumentRefused:
            return


class ConversationTests(SynchronousTestCase):
    @acceptance("S080")
    def test_what_was_asked_for_is_kept_decoded_with_the_envelope(self) -> None:
        server = Server()
        server.connect().say(
            "EHLO client.example",
            "MAIL FROM:<a@client.example> RET=HDRS ENVID=QQ+20314159",
            "RCPT TO:<alice@mail.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@client.example",
            "RCPT TO:<bob@mail.example>",
            "DATA",
        )
        (message,) = server.intake.messages
        self.assertEqual(message.envelope.parameters, {"RET": Ret.HDRS, "ENVID": "QQ 314159"})
        asked = {"NOTIFY": S | D, "ORCPT": "rfc822;x+y@client.example"}
        self.assertEqual(message.envelope.recipient_parameters, {Address("alice", "mail.example"): asked})

    def test_where_it_is_not_offered_its_parameters_are_not_known(self) -> None:
        conversation = Server(SmtpMxSettings(offer_dsn=False)).connect()
        self.assertNotIn("DSN", conversation.say("EHLO client.example"))
        for parameter in ("RET=FULL", "ENVID=1"):
            self.assertIn("555 5.5.4", conversation.say(f"MAIL FROM:<a@client.example> {parameter}"))
        conversation.say("MAIL FROM:<a@client.example>")
        for parameter in ("NOTIFY=NEVER", "ORCPT=rfc822;a@b.example"):
            self.assertIn("555 5.5.4", conversation.say(f"RCPT TO:<alice@mail.example> {parameter}"))
