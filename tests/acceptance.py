"""The mark by which a test says which rows of the acceptance list it shows.

    @acceptance("S047", "S048")
    def test_...

``docs/acceptance.rst`` is built from these marks; transcripts name their rows in a first line
``# acceptance: S047``.
"""

import pytest


def acceptance(*rows: str) -> pytest.MarkDecorator:
    """Say that a test shows these rows, each an id such as ``"S047"``."""
    return pytest.mark.acceptance(*rows)
