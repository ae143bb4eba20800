"""Words and texts that are like others."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces import drained
from pymailsuite.interfaces.text_index import HoldsSimilar, TextField
from pymailsuite.message.search import fold_text
from pymailsuite.message.similar import SimilarNeedle, SimilarWord
from pymailsuite.message.word_pieces import PieceMaker, WordPiece
from pymailsuite.message.words import folded_words, words_of


class SimilarWordTests(SynchronousTestCase):
    def test_what_words_score(self) -> None:
        for word, other, score in (
            ("tea", "tea", 100),
            ("tea", "teapot", 90),
            ("pot", "teapot", 80),
            ("delivery", "deliveries", 70),
            ("meetings", "meeting", 70),
            ("helo", "hello", 60),
            ("receive", "recieve", 60),
            ("invoice", "invoize", 70),
            ("отчёт", "отчет", 60),
            ("tea", "toa", 0),
            ("of", "offer", 0),
            ("invoice", "envoice", 0),
            ("break", "broken", 0),
            ("x" * 60, "x" * 59 + "y", 0),
        ):
            with self.subTest(word=word, other=other):
                self.assertEqual(SimilarWord(word).score(frozenset((other, "something"))), score)

    def test_the_best_word_counts(self) -> None:
        self.assertEqual(SimilarWord("hello").score(frozenset(("helo", "hellos", "hello"))), 100)

    def test_texts_score_by_all_words_of_the_string(self) -> None:
        needle = SimilarNeedle("IMAP break")
        self.assertEqual(needle.score_of(fold_text("An imap  BREAK.")), 100)
        self.assertEqual(needle.score_of(fold_text("Breaking the IMAP")), 90)
        self.assertEqual(needle.score_of(fold_text("imap alone")), 0)
        self.assertFalse(needle.found_in("breaks"))
        self.assertTrue(needle.found_in("breaks, imapd"))
        # Without words there is nothing to vary.
        self.assertTrue(SimilarNeedle("--").found_in("a -- b"))
        self.assertFalse(SimilarNeedle("--").found_in("a - b"))

    def test_the_index_excludes_no_message_with_a_word_like_it(self) -> None:
        rng = random.Random(6203)
        letters = "abcdeё会"
        words = ["".join(rng.choices(letters, k=rng.randint(1, 20))) for _ in range(400)]
        texts = [" ".join(rng.choices(words, k=12)) for _ in range(40)]
        maker = PieceMaker()
        for uid, text in enumerate(texts, 1):
            maker.add(uid, {TextField.BODY: words_of(text)})
        piece = WordPiece(dict(drained(maker.fields())), len(texts))
        found = excluded = 0
        for _ in range(300):
            word = rng.choice(words)
            place = rng.randrange(len(word))
            changed = word[:place] + rng.choice(("", "b", "会d")) + word[place + 1 :] or "a"
            similar = SimilarWord(changed)
            bits = piece.holding(HoldsSimilar((TextField.BODY,), changed)) if len(similar.octets) >= 3 else -1
            for place, text in enumerate(texts):
                is_left = bool(bits >> place & 1)
                holds = similar.score(folded_words(fold_text(text))) > 0
                self.assertFalse(holds and not is_left, (changed, text))
                found += holds
                excluded += not is_left
        self.assertGreater(found, 300)
        self.assertGreater(excluded, 1000)
