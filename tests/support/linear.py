"""Whether work grows with its input and no faster."""

from __future__ import annotations

import time
from collections.abc import Callable


def assert_linear(work: Callable[[bytes], object], make: Callable[[int], bytes], count: int = 2_000) -> None:
    """Eight times the input may take some 8 times as long, far from the 64 times of quadratic work.

    The best of three runs, CPU time, and a floor under the smaller one: short times are mostly noise.
    """

    def cost(octets: bytes) -> float:
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            work(octets)
            best = min(best, time.process_time() - begin)
        return best

    small, large = make(count), make(count * 8)
    limit = 24 * max(cost(small), 0.002)
    taken = cost(large)
    assert taken < limit, f"{len(large)} octets took {taken:.3f} s, more than {limit:.3f} s"
