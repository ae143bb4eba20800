"""Policy, alignment and disposition, by either way to tell organizations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.dmarc.discovery import Discovery, walk_names
from pymailsuite.policy.dmarc.evaluation import DmarcResult, evaluate


def zone(records: Mapping[str, str | Sequence[str]], failing: Collection[str] = (), **more: object) -> FakeResolver:
    """A resolver with DMARC records by domain."""
    txt = {
        f"_dmarc.{domain}": [text.encode() for text in ([texts] if isinstance(texts, str) else texts)]
        for domain, texts in records.items()
    }
    return FakeResolver(txt=txt, failing=[f"_dmarc.{domain}" for domain in failing], **more)  # type: ignore[arg-type]


class EvaluationCase(SynchronousTestCase):
    def evaluated(
        self,
        resolver: FakeResolver,
        author: str | Sequence[str],
        spf: str = "",
        dkim: Sequence[str] = (),
        *,
        tree: bool = False,
        sample: float = 0.0,
        honour_pct: bool = False,
    ) -> DmarcResult:
        authors = (author,) if isinstance(author, str) else author
        discovery = Discovery(resolver, tree)
        evaluated = evaluate(authors, spf, dkim, discovery, sample=sample, honour_pct=honour_pct)
        return self.successResultOf(Deferred.fromCoroutine(evaluated))

    def words(self, *args: object, **options: object) -> str:
        """Result, published policy, disposition."""
        result = self.evaluated(*args, **options)  # type: ignore[arg-type]
        return f"{result.result} {result.policy.value if result.policy else '-'} {result.disposition.value}"


class BothWaysTests(EvaluationCase):
    """What does not depend on how organizations are told."""

    def check(self, expected: str, *args: object, **options: object) -> None:
        for tree in (False, True):
            self.assertEqual(expected, self.words(*args, tree=tree, **options), f"tree walk: {tree}")

    def test_no_record_is_none(self) -> None:
        self.check("none - none", zone({}), "example.com", "example.com", ["example.com"])
        self.check("none - none", zone({"example.com": "v=spf1 -all"}), "example.com")
        self.check("none - none", zone({"example.com": ["v=DMARC1; p=reject"] * 2}), "example.com")
        self.check("none - none", zone({"example.com": "v=DMARC1; adkim=s"}), "example.com", "example.com")
        self.check("none - none", zone({}), ())

    def test_either_of_spf_and_dkim_is_enough(self) -> None:
        reject = zone({"example.com": "v=DMARC1; p=reject"})
        self.check("pass reject none", reject, "example.com", "example.com")
        self.check("pass reject none", reject, "example.com", "", ["other.test", "example.com"])
        self.check("fail reject reject", reject, "example.com", "other.test", ["other.test"])
        self.check("fail reject reject", reject, "example.com")

    def test_relaxed_alignment_is_of_one_organization(self) -> None:
        reject = zone({"example.co.uk": "v=DMARC1; p=reject"})
        self.check("pass reject none", reject, "example.co.uk", "bounce.example.co.uk")
        self.check("pass reject none", reject, "news.example.co.uk", "", ["mail.example.co.uk"])
        self.check("fail reject reject", reject, "example.co.uk", "example.org.uk", ["other.co.uk", "notexample.co.uk"])

    def test_strict_alignment_is_of_the_same_name(self) -> None:
        strict = zone({"example.com": "v=DMARC1; p=reject; adkim=s; aspf=s"})
        self.check("fail reject reject", strict, "example.com", "a.example.com", ["a.example.com"])
        self.check("pass reject none", strict, "example.com", "", ["a.example.com", "example.com"])
        half = zone({"example.com": "v=DMARC1; p=reject; adkim=s"})
        self.check("pass reject none", half, "example.com", "a.example.com", ["a.example.com"])

    def test_domains_below_have_sp_unless_they_have_their_own_record(self) -> None:
        records = zone(
            {"example.com": "v=DMARC1; p=reject; sp=quarantine", "own.example.com": "v=DMARC1; p=none; sp=reject"},
            a={"sub.example.com": ["192.0.2.1"]},
        )
        self.check("fail reject reject", records, "example.com")
        self.check("fail quarantine quarantine", records, "sub.example.com")
        self.check("fail none none", records, "own.example.com")

    def test_names_that_do_not_exist_have_np(self) -> None:
        records = zone(
            {"example.com": "v=DMARC1; p=none; sp=none; np=reject"}, mx={"sub.example.com": [(1, "mx.example.com")]}
        )
        self.check("fail none none", records, "sub.example.com")
        self.check("fail reject reject", records, "ghost.example.com")
        self.check("fail none none", records, "example.com")
        self.assertNotIn(("a", "example.com"), records.questions)

    def test_test_mode_and_a_percentage_soften_by_one_step(self) -> None:
        for policy, softer in (("reject", "quarantine"), ("quarantine", "none"), ("none", "none")):
            self.check(f"fail {policy} {softer}", zone({"e.com": f"v=DMARC1; p={policy}; t=y"}), "e.com")
            none = zone({"e.com": f"v=DMARC1; p={policy}; pct=0"})
            self.check(f"fail {policy} {softer}", none, "e.com", honour_pct=True)
            # RFC 9989 has no percentage.
            self.check(f"fail {policy} {policy}", none, "e.com")
        half = zone({"e.com": "v=DMARC1; p=reject; pct=50"})
        self.check("fail reject reject", half, "e.com", sample=49.9, honour_pct=True)
        self.check("fail reject quarantine", half, "e.com", sample=50.0, honour_pct=True)
        self.assertEqual("sampled_out", self.evaluated(half, "e.com", sample=50.0, honour_pct=True).overrides[0].kind)

    def test_of_several_authors_the_strictest_counts(self) -> None:
        records = zone({"a.com": "v=DMARC1; p=quarantine", "b.com": "v=DMARC1; p=reject"})
        result = self.evaluated(records, ("a.com", "b.com"), "a.com")
        self.assertEqual(("fail", "b.com", "reject"), (result.result, result.author_domain, result.disposition.value))
        self.assertEqual("pass", self.evaluated(records, ("a.com", "b.com"), "a.com", ["b.com"]).result)

    def test_a_failed_look_up_is_an_error_only_if_it_matters(self) -> None:
        records = {"example.com": "v=DMARC1; p=reject"}
        self.check("temperror - none", zone(records, ["example.com"]), "example.com", "example.com")
        self.check("temperror - none", zone(records, ["a.example.com"]), "a.example.com")
        broken = FakeResolver(
            txt={"_dmarc.example.com": [b"v=DMARC1; p=reject; np=none"]}, failing=[("a", "g.example.com")]
        )
        self.check("temperror reject none", broken, "g.example.com")
        self.check("pass reject none", broken, "g.example.com", "example.com")


class SuffixListTests(EvaluationCase):
    """RFC 7489."""

    def test_a_record_above_the_organization_is_not_asked(self) -> None:
        records = zone({"uk": "v=DMARC1; p=reject", "co.uk": "v=DMARC1; p=reject"})
        self.assertEqual("none - none", self.words(records, "mail.example.co.uk"))
        self.assertEqual("none - none", self.words(zone({"b.example.com": "v=DMARC1; p=reject"}), "a.b.example.com"))

    def test_a_public_suffix_may_have_a_policy_of_its_own(self) -> None:
        records = zone({"gov": "v=DMARC1; p=reject; np=reject; sp=none; psd=y"}, a={"x.gov": ["192.0.2.1"]})
        self.assertEqual("fail none none", self.words(records, "x.gov"))
        self.assertEqual("fail reject reject", self.words(records, "ghost.gov"))
        self.assertEqual("none - none", self.words(zone({}, ["gov"]), "x.gov"))

    def test_the_organization_aligns_without_a_record(self) -> None:
        records = zone({"mail.example.com": "v=DMARC1; p=reject"})
        self.assertEqual("pass reject none", self.words(records, "mail.example.com", "", ["example.com"]))

    def test_several_records_end_the_search(self) -> None:
        records = zone({"a.example.com": ["v=DMARC1; p=none"] * 2, "example.com": "v=DMARC1; p=reject"})
        self.assertEqual("none - none", self.words(records, "a.example.com"))

    def test_no_name_is_asked_for_twice(self) -> None:
        records = zone({"example.com": "v=DMARC1; p=reject"})
        self.evaluated(records, "example.com", "a.example.com", ["b.example.com", "c.example.com"])
        self.assertEqual([("txt", "_dmarc.example.com")], records.questions)


class TreeWalkTests(EvaluationCase):
    """RFC 9989 §4.10 and appendix B.4."""

    def test_a_walk_asks_eight_names_at_most(self) -> None:
        self.assertEqual(
            ["a.b.c.d.e.f.g.h.i.j.example.com", "f.g.h.i.j.example.com", "g.h.i.j.example.com", "h.i.j.example.com"]
            + ["i.j.example.com", "j.example.com", "example.com", "com"],
            walk_names("a.b.c.d.e.f.g.h.i.j.example.com"),
        )
        self.assertEqual(8, len(walk_names("a.b.c.d.e.f.example.com")))
        self.assertEqual("b.c.d.e.f.example.com", walk_names("a.b.c.d.e.f.example.com")[1])
        self.assertEqual(["com"], walk_names("com"))

    def test_the_record_with_the_fewest_labels_is_the_organizations(self) -> None:
        records = zone({"b.example.com": "v=DMARC1; p=none", "example.com": "v=DMARC1; p=reject"})
        result = self.evaluated(records, "a.b.example.com", tree=True)
        assert result.published is not None
        self.assertEqual("example.com", result.published.domain)

    def test_psd_n_marks_the_organization(self) -> None:
        records = zone({"b.example.com": "v=DMARC1; p=reject; psd=n", "example.com": "v=DMARC1; p=none"})
        self.assertEqual("pass reject none", self.words(records, "a.b.example.com", "c.b.example.com", tree=True))
        self.assertEqual("fail reject reject", self.words(records, "a.b.example.com", "c.example.com", tree=True))

    def test_the_organization_is_below_psd_y(self) -> None:
        records = zone({"bank.example": "v=DMARC1; p=reject; psd=y", "giant.bank.example": "v=DMARC1; p=quarantine"})
        author = "giant.bank.example"
        self.assertEqual("pass quarantine none", self.words(records, author, "mail.giant.bank.example", tree=True))
        self.assertEqual("fail quarantine quarantine", self.words(records, author, "mega.bank.example", tree=True))
        self.assertEqual("fail reject reject", self.words(records, "mega.bank.example", author, tree=True))
        self.assertEqual("fail reject reject", self.words(records, "bank.example", "mail.bank.example", tree=True))

    def test_psd_y_where_the_walk_begins_does_not_end_it(self) -> None:
        records = zone({"bank.example": "v=DMARC1; p=reject; psd=y", "example": "v=DMARC1; p=none"})
        self.assertEqual("pass reject none", self.words(records, "bank.example", "example", tree=True))
        records = zone({"bank.example": "v=DMARC1; p=reject; psd=y", "example": "v=DMARC1; p=none; psd=y"})
        self.assertEqual("fail reject reject", self.words(records, "bank.example", "example", tree=True))

    def test_a_domain_without_a_record_above_is_its_own_organization(self) -> None:
        records = zone({"mail.example.com": "v=DMARC1; p=reject"})
        self.assertEqual("fail reject reject", self.words(records, "mail.example.com", "", ["example.com"], tree=True))

    def test_several_records_are_passed_over(self) -> None:
        records = zone({"a.example.com": ["v=DMARC1; p=none"] * 2, "example.com": "v=DMARC1; p=none; sp=quarantine"})
        self.assertEqual("fail quarantine quarantine", self.words(records, "a.example.com", tree=True))

    def test_a_failed_walk_leaves_what_needs_no_walk(self) -> None:
        records = zone({"a.example.com": "v=DMARC1; p=reject"}, ["example.com"])
        author = "a.example.com"
        self.assertEqual("pass reject none", self.words(records, author, "", [author], tree=True))
        self.assertEqual("temperror reject none", self.words(records, author, "", ["b.a.example.com"], tree=True))
        self.assertEqual("fail reject reject", self.words(records, author, "other.net", tree=True))

    def test_a_top_level_domain_that_cannot_be_asked_is_one_without_a_record(self) -> None:
        records = zone({"example.com": "v=DMARC1; p=reject"}, ["com"])
        self.assertEqual("pass reject none", self.words(records, "example.com", "", ["a.example.com"], tree=True))
        self.assertEqual("fail reject reject", self.words(records, "b.example.com", "", ["other.com"], tree=True))
