"""Every case of the public suite."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.policy.spf import Query, SpfChecker
from tests.acceptance import acceptance
from tests.policy.spf.suite import cases, resolver_of


class SuiteTests(SynchronousTestCase):
    @acceptance("S156")
    def test_every_case_has_the_preferred_result(self) -> None:
        settings = SpfSettings(explanation="DEFAULT")
        count = 0
        for case in cases():
            checker = SpfChecker(settings, resolver_of(case.zone), Clock())
            found = self.successResultOf(checker.check(Query.of_mail_from(case.ip, case.sender, case.helo)))
            shown = f"{case.name}: {found.reason}"
            self.assertEqual(found.result.value, case.results[0], shown)
            if case.explanation is not None:
                self.assertEqual(found.explanation, case.explanation, shown)
            count += 1
        self.assertEqual(count, 203)
