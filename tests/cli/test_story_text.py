"""Stories in words."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.cli.story_text import recipient_text, step_text, story_lines, verdict_lines

RULING: dict[str, Any] = {
    "stage": "mail",
    "policy": "spf",
    "said": "reject",
    "counts_as": "reject",
    "score": 0.0,
    "set_aside": "",
    "disposal": "",
    "reason": "not theirs",
    "recipient": "",
    "evidence": {},
}
ANN = {"recipient": "ann@example.test", "mailbox": "INBOX", "account": "ann@example.test"}


class StoryTextTests(SynchronousTestCase):
    def test_a_ruling_says_what_became_of_it(self) -> None:
        for change, words in (
            ({}, "reject"),
            ({"said": "pass", "counts_as": "none"}, "no objection"),
            ({"counts_as": "none"}, "reject, not counted"),
            ({"counts_as": "score", "score": 2.5}, "reject, counts 2.5"),
            ({"said": "score", "counts_as": "score", "score": -1.0}, "score, counts -1"),
            ({"counts_as": "tempfail"}, "reject, counts as tempfail"),
            ({"counts_as": "overruled", "set_aside": "lists vouches"}, "reject, set aside (lists vouches)"),
            ({"counts_as": "overruled"}, "reject, set aside"),
            ({"said": "accept", "counts_as": "accept"}, "vouches for it"),
            ({"said": "tag", "counts_as": "tag", "disposal": "junk"}, "marks it, for the mailbox of junk"),
        ):
            (line,) = verdict_lines({**RULING, **change})
            self.assertEqual(line, f"at mail    spf: {words}; not theirs")

    def test_what_it_was_looked_at_stands_below(self) -> None:
        evidence = {"result": "fail", "empty": "", "reason": "not theirs", "trace": [{"more": 1}]}
        self.assertEqual(list(verdict_lines({**RULING, "evidence": evidence}))[1].strip(), "result=fail")

    def test_a_copy_is_told_with_where_it_is_now(self) -> None:
        for change, words in (
            ({}, "into INBOX of ann@example.test"),
            ({"now": ["INBOX"]}, "into INBOX of ann@example.test"),
            ({"now": ["Plans"]}, "into INBOX of ann@example.test, now in Plans"),
            ({"now": []}, "into INBOX of ann@example.test, expunged since"),
            ({"account": None, "now": []}, "into INBOX of an account that is gone"),
            ({"disposal": "junk", "now": ["Junk"]}, "taken for junk, now in Junk"),
            ({"disposal": "junk", "now": []}, "taken for junk, now in no mailbox: expunged since"),
            ({"disposal": "junk", "account": "bob@b", "now": ["Junk"]}, "taken for junk, now in Junk of bob@b"),
            ({"disposal": "junk"}, "taken for junk, into the mailbox for it of ann@example.test"),
            ({"disposal": "discard"}, "thrown away, as a check wants it"),
        ):
            self.assertEqual(recipient_text({**ANN, **change}), f"ann@example.test: {words}")
        self.assertEqual(recipient_text({"recipient": "a@b", "address": "c@d"}), "a@b: on to c@d")

    def test_a_step_says_what_it_decided_of_whom_and_why(self) -> None:
        step = {"step": "junk", "recipient": "a@b", "did": "placed", "why": "the checks want it"}
        self.assertEqual(step_text(step), "junk: placed a@b (the checks want it)")
        self.assertEqual(step_text({"step": "lists", "recipient": "", "did": "failed", "why": ""}), "lists: failed")
        refused = {"recipient": "a@b", "reply": "552 5.2.2 Mailbox full"}
        self.assertEqual(recipient_text(refused), "a@b: refused, 552 5.2.2 Mailbox full")

    def test_a_late_copy_and_what_waits_end_the_story(self) -> None:
        attempt = {
            "at": "T1",
            "recipient": "a@b",
            "state": "waiting",
            "host": "mx.b",
            "reply": "451 later",
            "next_attempt": "T2",
        }
        told = {
            "at": "T0",
            "id": "1A",
            "kind": "attempt",
            "attempts": [attempt],
            "steps": [{"step": "junk", "recipient": "a@b", "did": "placed", "why": ""}],
            "copies": [{**ANN, "now": ["INBOX"]}],
            "reports": ["2B"],
            "waiting": [{"recipient": "a@b", "next_attempt": "T2", "held": False}],
        }
        self.assertEqual(
            list(story_lines(told)),
            [
                "T0  1A  attempt",
                "  step      junk: placed a@b",
                "  attempt   T1 a@b waiting: mx.b said: 451 later; again at T2",
                "  copy      into INBOX of ann@example.test",
                "  report    sent to the sender as 2B",
                "  waiting   a@b, next attempt at T2",
            ],
        )
