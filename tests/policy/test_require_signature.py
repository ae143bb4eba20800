"""Authors all of whose mail must be signed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.require_signature import RequireSignatureSettings
from pymailsuite.interfaces.policy import Action, IPolicy, MailTransaction, ReceivedMessage, Stage, Verdict
from pymailsuite.policy.require_signature import RequireSignaturePolicy
from pymailsuite.values import Peer, QueueId
from tests.acceptance import acceptance

SMIME = 'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b'
OPAQUE = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"
PGP = "multipart/signed; micalg=pgp-sha256;\r\n protocol=Application/PGP-Signature; boundary=b"


def verdict(content_type: str, author: str = "a@pay.bank.example") -> Verdict:
    policy = RequireSignaturePolicy(RequireSignatureSettings(domains={"Bank.example": "smime", "club.test": "any"}))
    verifyObject(IPolicy, policy)
    header = f"From: {author}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    message = ReceivedMessage(QueueId("1"), 1, header)
    found: list[Verdict] = []
    policy.message(MailTransaction(Stage.MESSAGE, Peer("192.0.2.1"), "mx.test", message=message)).addCallback(
        found.append
    )
    return found[0]


class RequireSignatureTests(SynchronousTestCase):
    @acceptance("S160")
    def test_mail_of_these_authors_is_taken_only_with_a_signature(self) -> None:
        for content_type in (SMIME, OPAQUE):
            found = verdict(content_type)
            self.assertEqual(
                (Action.PASS, "smime", "neutral"), (found.action, found.results[0].method, found.results[0].result)
            )
        for content_type in (
            "text/plain",
            PGP,
            "multipart/signed",
            "application/pkcs7-mime; smime-type=enveloped-data",
        ):
            found = verdict(content_type)
            assert found.reply is not None
            self.assertEqual((Action.REJECT, 550, "5.7.1"), (found.action, found.reply.code, found.reply.enhanced_code))
            self.assertEqual(("smime", "none"), (found.results[0].method, found.results[0].result))

    def test_either_kind_may_be_enough(self) -> None:
        self.assertIs(Action.PASS, verdict(PGP, "a@club.test").action)
        self.assertIs(Action.PASS, verdict(SMIME, "a@club.test").action)
        self.assertIs(Action.REJECT, verdict("text/plain", "a@club.test").action)

    def test_of_several_authors_none_slips_through(self) -> None:
        for author in (
            "a@other.example\r\nFrom: b@pay.bank.example",
            "b@pay.bank.example\r\nfrom : a@other.example",
            "<a@other.example> <b@pay.bank.example>",
            "a@other.example, b@pay.bank.example",
        ):
            self.assertIs(Action.REJECT, verdict("text/plain", author).action, author)

    def test_others_are_not_asked(self) -> None:
        self.assertEqual(Verdict(), verdict("text/plain", "a@notbank.example"))
        self.assertEqual(Verdict(), verdict("text/plain", ""))
