"""What a message costs, in calls of our own functions: the same on every machine.

The ceilings are a little above what it was when they were set. Whoever passes one has made every message dearer, and
either does the same with less or raises the ceiling, and says why.

Of these calls eleven work out by what the message is found, sorted, listed and put into a thread, when it is scanned:
from then on no list, search or thread reads its octets. Eleven ask the delivery steps and put together what they say.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import pymailsuite
from benchmarks.checks import messages_signed_by
from benchmarks.turn import Receiving
from pymailsuite.policy.dkim import SigningKey, generate_key

WITHOUT_CHECKS = 321
WITH_CHECKS = 716
MESSAGES = 20

_HOUSE = str(Path(pymailsuite.__file__).parent)


class _Calls:
    """Counts calls of Python functions of the house, on the thread it is entered on."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def __enter__(self) -> Counter[str]:
        self._before = sys.getprofile()
        sys.setprofile(self._note)
        return self.counted

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_HOUSE):
            self.counted[f"{code.co_filename.removeprefix(_HOUSE)}:{code.co_name}"] += 1


class CostTests(SynchronousTestCase):
    def _cost(self, receiving: Receiving, messages: list[bytes]) -> tuple[float, str]:
        """Calls for a message, once everything is remembered that will be; and of what."""
        for number in range(2 * MESSAGES):
            receiving.send(number, messages[number % len(messages)])
        with _Calls() as counted:
            for number in range(MESSAGES):
                receiving.send(number, messages[number % len(messages)])
        most = "\n".join(f"{count / MESSAGES:8.2f} {name}" for name, count in counted.most_common(40))
        return counted.total() / MESSAGES, most

    def test_a_message_costs_no_more_calls_than_it_did(self) -> None:
        key = SigningKey("sender.example", "s1", generate_key("rsa"))
        messages = messages_signed_by(key, "sender.example")
        for ceiling, policy in ((WITHOUT_CHECKS, {"enabled": False}), (WITH_CHECKS, {})):
            with self.subTest(**policy):
                receiving = Receiving(key, 10, **policy)
                self.addCleanup(receiving.close)
                calls, most = self._cost(receiving, messages)
                self.assertLess(calls, ceiling, most)
                # A count that counts nothing would please every ceiling.
                self.assertGreater(calls, ceiling / 2, most)
