"""The table-driven resolver keeps the three answers apart, as the real one does."""

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver, MxRecord


class FakeResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.resolver = FakeResolver(
            mx={"example.com": [(10, "MX.example.com.")], "null.example": [(0, ".")]},
            a={"mx.example.com": ["192.0.2.1"], "deep.sub.example.com": ["192.0.2.9"]},
            cname={"www.example.com": "mx.example.com", "loop.example": "loop.example"},
            ptr={"192.0.2.1": ["mx.example.com"]},
            failing=["broken.example", ("mx", "flaky.example")],
            secure=["example.com"],
        )

    def test_it_provides_the_interface(self) -> None:
        verifyObject(IResolver, self.resolver)

    def test_records_come_back_and_questions_are_remembered(self) -> None:
        answer = self.successResultOf(self.resolver.mx("Example.com."))
        self.assertEqual(answer, Answer((MxRecord(10, "mx.example.com"),), secure=True, ttl_s=300))
        self.assertEqual(self.successResultOf(self.resolver.mx("null.example")).records, (MxRecord(0, ""),))
        self.assertEqual(self.successResultOf(self.resolver.a("www.example.com")).records, ("192.0.2.1",))
        self.assertEqual(self.successResultOf(self.resolver.ptr("192.0.2.1")).records, ("mx.example.com",))
        self.assertEqual(self.resolver.questions[0], ("mx", "example.com"))

    def test_no_such_name_no_data_and_failed_are_three_answers(self) -> None:
        self.assertFalse(self.successResultOf(self.resolver.a("nobody.example")).exists)
        for empty in ("example.com", "sub.example.com"):
            answer = self.successResultOf(self.resolver.a(empty))
            self.assertEqual((answer.records, answer.exists), ((), True))
        self.failureResultOf(self.resolver.a("broken.example"), DnsFailure)
        self.failureResultOf(self.resolver.mx("flaky.example"), DnsFailure)
        self.failureResultOf(self.resolver.a("loop.example"), DnsFailure)
