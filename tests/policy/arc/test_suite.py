"""Every case of the public suite."""

import re

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.policy.arc import seal_message, verify_arc
from pymailsuite.policy.dkim.header import HeaderView, split_fields
from pymailsuite.policy.dkim.sign import SigningRules
from tests.acceptance import acceptance
from tests.policy.arc.suite import HISTORIC, UNCOVERED, sign_cases, validation_cases
from tests.policy.dkim.support import run

NOW = 12345


def squeezed(body: str) -> str:
    """A field body as the suite compares it: without white space and the last semicolon."""
    return "".join(body.split()).rstrip(";")


def merged(body: str) -> str:
    """Results as the suite compares them: white space matters within one of them only."""
    return re.sub(r"\s*;\s*", "; ", " ".join(body.split()))


class SuiteTests(SynchronousTestCase):
    @acceptance("S076")
    def test_every_chain_has_its_result(self) -> None:
        count = 0
        for case in validation_cases():
            settings = ArcSettings(allow_uncovered_author=case.name in UNCOVERED)
            result = run(verify_arc(case.message, case.keys, NOW, settings))
            wanted = "fail" if case.name in HISTORIC else case.result
            self.assertEqual(result.status.value, wanted, f"{case.name}: {result.reason}")
            count += 1
        self.assertEqual(count, 170)

    def test_by_default_a_chain_that_says_nothing_of_the_author_fails(self) -> None:
        for case in validation_cases():
            if case.name in UNCOVERED:
                self.assertEqual(run(verify_arc(case.message, case.keys, NOW)).status.value, "fail")

    @acceptance("S076")
    def test_every_seal_is_octet_for_octet_that_of_the_suite(self) -> None:
        count = 0
        for case in sign_cases():
            with self.subTest(case.name):
                rules = SigningRules(case.headers, exact=True)
                fields = run(seal_message(case.message, case.key, case.authserv_id, case.keys, case.now, rules=rules))
                view = HeaderView(split_fields(fields))
                made = [
                    "".join(field.body.decode() for field in view.fields(name))
                    for name in (b"arc-seal", b"arc-message-signature", b"arc-authentication-results")
                ]
                self.assertEqual(squeezed(made[0]), squeezed(case.seal))
                self.assertEqual(squeezed(made[1]), squeezed(case.signature))
                self.assertEqual(merged(made[2]), merged(case.results))
            count += 1
        self.assertEqual(count, 17)
