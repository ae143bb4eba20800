"""SCRAM-SHA-256: the example of the RFC, what is refused, and keys as they are kept."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import LoginRefused, PeerError
from pymailsuite.sasl import Challenge, Exchange, Outcome, ScramKeys, ScramServer, mechanisms, saslprep, scram
from tests.support.scram import ScramClient

# RFC 7677 §3
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
KEYS = ScramKeys.of(b"pencil", 4096, SALT)
SERVER_NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

BOUND = {"tls-exporter": b"exported", "tls-server-end-point": b"hash of the certificate"}


async def keys_of(name: bytes) -> ScramKeys:
    """Those of ``user``; for others, keys that nobody has a password of."""
    return KEYS if name in (b"user", b"a,b=c") else ScramKeys(b"another salt", 4096, bytes(32), bytes(32))


def exchange(*, plus: bool = False, tls: bool = True) -> Exchange:
    """One with the server."""
    return Exchange(ScramServer(keys_of, BOUND.get if tls else None, plus=plus))


def awaited(outcome: Any) -> Outcome:
    """What it comes to, at once."""
    results: list[Any] = []
    Deferred.fromCoroutine(outcome.outcome).addBoth(results.append)
    return results[0]  # type: ignore[no-any-return]


class ScramTests(SynchronousTestCase):
    """Whole exchanges."""

    def _log_in(self, client: ScramClient, server: Exchange) -> tuple[Outcome, Any]:
        """The challenge behind the client's proof, and what the portal is asked with."""
        challenge: Any = awaited(server.begin(client.first()))
        outcome: Any = server.go_on(client.final(challenge.octets))
        if not isinstance(outcome, Challenge):
            return outcome, outcome
        self.assertTrue(client.is_server(outcome.octets))
        return outcome, server.go_on(b"")

    def test_the_example_of_the_rfc(self) -> None:
        self.patch(
            scram.base64,
            "b64encode",
            lambda octets, real=base64.b64encode: octets if octets == SERVER_NONCE else real(octets),
        )
        self.patch(scram.os, "urandom", lambda _: SERVER_NONCE)
        server = exchange(tls=False)
        challenge: Any = awaited(server.begin(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
        self.assertEqual(
            challenge.octets,
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        )
        final: Any = server.go_on(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        self.assertEqual(final.octets, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        proof: Any = server.go_on(b"")
        self.assertEqual((proof.username, proof.is_right, proof.keys), (b"user", True, KEYS))

    def test_right_and_wrong_passwords(self) -> None:
        for name, password, is_right in (
            ("user", "pencil", True),
            ("a,b=c", "pencil", True),
            ("user", "Pencil", False),
            ("nobody", "pencil", False),
        ):
            _, proof = self._log_in(ScramClient(name, password), exchange(tls=False))
            self.assertEqual((proof.username, proof.is_right), (name.encode(), is_right))
        right = [self._log_in(ScramClient("user", "pencil"), exchange(tls=False))[1].password for _ in range(2)]
        self.assertEqual(right[0], right[1])

    def test_a_login_is_bound_to_its_connection(self) -> None:
        for kind, data in BOUND.items():
            client = ScramClient("user", "pencil", f"p={kind},,".encode(), data)
            self.assertTrue(self._log_in(client, exchange(plus=True))[1].is_right)
            between = ScramClient("user", "pencil", f"p={kind},,".encode(), b"another connection")
            self.assertFalse(self._log_in(between, exchange(plus=True))[1].is_right)

    def test_what_is_no_exchange_is_refused(self) -> None:
        for first in (
            b"",
            b"n,,",
            b"n,,n=user",
            b"n,,n=,r=x",
            b"n,,n=us\0er,r=x",
            b"n,,n=u=er,r=x",
            b"n,,n=\xff,r=x",
            b"n,,m=unknown,n=user,r=x",
            b"n,,n=user,r=a b",
            b"x,,n=user,r=x",
            b"p=tls-exporter,,n=user,r=x",
        ):
            self.assertRaises(PeerError, exchange().begin, first)
        for first in (b"n,,n=user,r=x", b"y,,n=user,r=x", b"p=tls-unique,,n=user,r=x"):
            self.assertRaises(PeerError, exchange(plus=True).begin, first)
        for final in (b"", b"c=biws,r=x", b"c=biws,r=x,p=?", b"c=b,r=x,p=QQ==", b"c=biws,r=x,p=QQ==,x=y"):
            server = exchange()
            awaited(server.begin(b"n,,n=user,r=x"))
            self.assertRaises(PeerError, server.go_on, final)

    def test_another_nonce_and_another_header_prove_nothing(self) -> None:
        for change in (
            lambda final: final.replace(b"r=", b"r=x", 1),
            lambda final: final.replace(b"c=biws", b"c=eSws", 1),
            lambda final: final[: final.index(b",p=")] + b",p=QQ==",
        ):
            client, server = ScramClient("user", "pencil"), exchange(tls=False)
            challenge: Any = awaited(server.begin(client.first()))
            proof: Any = server.go_on(change(client.final(challenge.octets)))
            self.assertFalse(proof.is_right)

    def test_nobody_may_act_as_somebody_else(self) -> None:
        self.assertRaises(LoginRefused, exchange().begin, b"n,a=boss,n=user,r=x")
        self.assertTrue(self._log_in(ScramClient("user", "pencil", b"n,a=User,"), exchange(tls=False))[1].is_right)

    def test_a_list_of_mechanisms_that_was_shortened_on_its_way_is_noticed(self) -> None:
        self.assertRaises(LoginRefused, exchange().begin, b"y,,n=user,r=x")
        self.assertTrue(self._log_in(ScramClient("user", "pencil", b"y,,"), exchange(tls=False))[1].is_right)


class OfferTests(SynchronousTestCase):
    """Which mechanisms there are."""

    def test_the_best_comes_first(self) -> None:
        self.assertEqual(list(mechanisms(True)), ["PLAIN", "LOGIN"])
        self.assertEqual(list(mechanisms(True, None, keys_of)), ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
        self.assertEqual(
            list(mechanisms(True, BOUND.get, keys_of)), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
        )
        self.assertEqual(list(mechanisms(False, BOUND.get, keys_of)), [])
        for name, make in mechanisms(True, BOUND.get, keys_of).items():
            self.assertEqual(make().name, name)


class KeysTests(SynchronousTestCase):
    """What is kept of a password."""

    def test_they_are_written_as_rfc_5803_has_it(self) -> None:
        written = str(KEYS)
        self.assertEqual(written[:44], "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
        self.assertEqual(ScramKeys.parse(written), KEYS)
        self.assertNotIn("stored_key", repr(KEYS))

    def test_others_are_not_read(self) -> None:
        good = str(KEYS)
        for text in (
            "",
            "$argon2id$x",
            good[:-5],
            good.replace("4096", "4095"),
            good.replace("4096", "99999999"),
            good + "x",
        ):
            self.assertRaises(ValueError, ScramKeys.parse, text)

    @given(st.text(min_size=1))
    def test_passwords_have_one_form(self, text: str) -> None:
        try:
            prepared = saslprep(text)
        except ValueError:
            return
        self.assertEqual(saslprep(prepared), prepared)

    def test_saslprep(self) -> None:
        # RFC 4013 §3
        for text, prepared in (
            ("I\u00adX", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u00aa", "a"),
            ("\u2168", "IX"),
        ):
            self.assertEqual(saslprep(text), prepared)
        for text in ("\u0007", "\u0627\u0031"):
            self.assertRaises(ValueError, saslprep, text)
