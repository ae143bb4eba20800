"""dkimpy: signatures of either pass with the other and break with both; chains that both of us seal pass with both."""

from __future__ import annotations

import base64
import random
import time
from itertools import product

import dkim
import pytest
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.arc import seal_message, verify_arc
from pymailsuite.policy.dkim import SigningRules
from tests.acceptance import acceptance
from tests.policy.dkim.support import NOW, resolver, results_of, run, signed, signing_key

KEY = signing_key()
PEM = KEY.private.pem()
FOUND = "spf=pass smtp.mailfrom=a@example.org; dkim=none"
_NAMES = (
    b"Subject",
    b"to",
    b"DATE",
    b"Message-ID",
    b"Received",
    b"X-Odd",
    b"Reply-To",
    b"References",
    b"DKIM-Signature",
)
_VALUES = (
    b"",
    b" one",
    b"  two   words \t ",
    b" folded\r\n in two",
    b"\r\n\tlate \r\n  \tand twice  ",
    " grüße 日本".encode(),
    b" \xfc\x80\xff latin",
    b"\tlist: of; tags",
    b" long" * 300,
)
_LINES = (b"", b"   ", b"text  with\t tabs  \t", b"\xff\x80 beyond ASCII", b" leading", b".", b"plain")


def random_message(chance: random.Random) -> bytes:
    """Repeated and folded fields, white space and octets beyond ASCII anywhere, empty bodies, empty lines at the end.

    The body ends in a line end, as on the wire: dkimpy keeps white space at the end of a line without one.
    """
    fields = [b"From: Ann <ann@example.org>" + b"  " * chance.randrange(2)]
    fields += [chance.choice(_NAMES) + b":" + chance.choice(_VALUES) for _ in range(chance.randrange(12))]
    chance.shuffle(fields)
    body = [chance.choice(_LINES) + b"\r\n" for _ in range(chance.choice((0, 1, 5, 20)))]
    return b"\r\n".join(fields) + b"\r\n\r\n" + b"".join(body)


def sealed_here(message: bytes, hop: int) -> bytes:
    found = f"{FOUND}; arc=pass" if hop else FOUND
    return run(seal_message(message, KEY, "example.org", resolver(KEY), NOW + hop, results=found)) + message


def sealed_there(message: bytes, hop: int) -> bytes:
    found = f"{FOUND}; arc=pass" if hop else FOUND
    seen = f"Authentication-Results: example.org; {found}\r\n".encode()
    fields = dkim.arc_sign(seen + message, b"s1", b"example.org", PEM, b"example.org", timestamp=NOW + hop)
    return b"".join(fields) + message


def verified_there(message: bytes) -> str:
    record = KEY.private.record_text().encode()
    status, _, reason = dkim.arc_verify(message, dnsfunc=lambda name, timeout=5: record)
    return status.decode() if status else str(reason)


@pytest.mark.interop
class SealTests(SynchronousTestCase):
    @acceptance("S076")
    def test_chains_pass_with_both_whoever_sealed(self) -> None:
        for seed in range(60):
            chance = random.Random(seed)
            message = random_message(chance)
            sealers = [chance.choice((sealed_here, sealed_there)) for _ in range(1 + seed % 3)]
            for hop, sealed_by in enumerate(sealers):
                message = sealed_by(message, hop)
            shown = f"seed {seed}: {[sealed_by.__name__ for sealed_by in sealers]}"
            found = run(verify_arc(message, resolver(KEY), NOW))
            self.assertEqual((found.status.value, found.instance), ("pass", len(sealers)), f"{shown} {found.reason}")
            self.assertEqual(verified_there(message), "pass", shown)

    def test_a_change_after_the_last_seal_fails_with_both(self) -> None:
        message = sealed_here(b"From: ann@example.org\r\nSubject: x\r\n\r\nCome\r\n", 0).replace(b"Come", b"Go")
        self.assertFalse(run(verify_arc(message, resolver(KEY), NOW)).passed)
        self.assertNotEqual(verified_there(message), "pass")


KEYS = {"rsa": KEY, "ed25519": signing_key("ed25519")}
FORMS = tuple(product(("rsa", "ed25519"), (False, True), (False, True)))
"""Kind of key, header relaxed, body relaxed."""
_LOWER = b"abcdefghijklmnopqrstuvwxyz"


def random_names(chance: random.Random) -> list[bytes]:
    """An ``h=``: fields that are there, once or more often than they stand, and fields that are not."""
    names = [b"from", *(chance.choice(_NAMES[:-1]).lower() for _ in range(chance.randrange(8)))]
    chance.shuffle(names)
    return names


def signed_there(message: bytes, kind: str, header: bool, body: bool, names: list[bytes], length: bool) -> bytes:
    forms = (b"simple", b"relaxed")
    private = KEYS[kind].private
    signer = dkim.DKIM(message, signature_algorithm=private.algorithm.encode())
    signer.should_not_sign = set()
    secret = PEM if kind == "rsa" else base64.b64encode(private.key.private_bytes_raw())
    field = signer.sign(
        b"s1", b"example.org", secret, canonicalize=(forms[header], forms[body]), include_headers=names, length=length
    )
    return bytes(field) + message


def passes_there(message: bytes, kind: str) -> bool:
    record = KEYS[kind].private.record_text().encode()
    return bool(dkim.verify(message, dnsfunc=lambda name, timeout=5: record))


def passes_here(message: bytes, kind: str) -> bool:
    return results_of(message, resolver(KEYS[kind]), now=time.time())[0].passed


@pytest.mark.interop
class SignatureTests(SynchronousTestCase):
    @acceptance("S194")
    def test_signatures_of_either_pass_with_the_other(self) -> None:
        for seed in range(15):
            for kind, header, body in FORMS:
                chance = random.Random(f"{seed} {kind} {header} {body}")
                message, names = random_message(chance), random_names(chance)
                rules = SigningRules(tuple(names), exact=True, relaxed_header=header, relaxed_body=body)
                ours = signed(message, KEYS[kind], rules=rules)
                self.assertTrue(passes_there(ours, kind), ours)
                theirs = signed_there(message, kind, header, body, names, length=chance.random() < 0.3)
                self.assertTrue(passes_here(theirs, kind), theirs)

    @acceptance("S194")
    def test_any_letter_changed_is_told_alike(self) -> None:
        for seed in range(10):
            for kind, header, body in FORMS:
                chance = random.Random(f"change {seed} {kind} {header} {body}")
                message, names = random_message(chance), random_names(chance)
                theirs = signed_there(message, kind, header, body, names, length=chance.random() < 0.3)
                letters = [at for at in range(len(theirs) - len(message), len(theirs)) if theirs[at] in _LOWER]
                for at in chance.sample(letters, min(4, len(letters))):
                    changed = theirs[:at] + bytes([chance.choice(_LOWER)]) + theirs[at + 1 :]
                    self.assertEqual(passes_there(changed, kind), passes_here(changed, kind), changed)
