"""Every case of the public suite."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.policy.spf import Query, SpfChecker
from tests.acceptance import acceptance
from tests.policy.spf.suite import cases, resolver_of

BY_NAME = {"ptr-limit": "pass"}
"""Cases with two good results where ours is the second. Of more than ten names of a client the first ten count: here in
the order of their names, as the order of DNS would make the result one of chance."""


class SuiteTests(SynchronousTestCase):
    @acceptance("S156")
    def test_every_case_has_the_preferred_result(self) -> None:
        settings = SpfSettings(explanation="DEFAULT")
        count = 0
        for case in cases():
            checker = SpfChecker(settings, resolver_of(case.zone), Clock())
            found = self.successResultOf(checker.check(Query.of_mail_from(case.ip, case.sender, case.helo)))
            shown = f"{case.name}: {found.reason}"
            wanted = BY_NAME.get(case.name.rpartition(": ")[2], case.results[0])
            self.assertIn(wanted, case.results)
            self.assertEqual(found.result.value, wanted, shown)
            if case.explanation is not None:
                self.assertEqual(found.explanation, case.explanation, shown)
            count += 1
        self.assertEqual(count, 203)
