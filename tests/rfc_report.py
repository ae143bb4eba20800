"""The page "RFC index": what is cited in the code, where, and what we do of it.

The list is ``docs/rfc-support.tsv``: number, title and support, one RFC a line. Where each is cited is read from the
code.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

from attrs import frozen

from tests.acceptance_report import REPOSITORY

CITED: Final = re.compile(r"\bRFC (\d{3,5})\b")
_HEAD = """\
RFC index
=========

What is cited in the code, what we do of it, and in which packages and modules it is cited.

.. list-table::
   :header-rows: 1
   :widths: 10 30 35 25

   * - RFC
     - Title
     - Here
     - Cited in
"""


@frozen
class Rfc:
    """One line of the list."""

    number: str
    title: str
    support: str


def listed_rfcs() -> list[Rfc]:
    """The list, in its order."""
    with (REPOSITORY / "docs/rfc-support.tsv").open(encoding="utf-8", newline="") as file:
        return [Rfc(*row) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def source_files() -> list[Path]:
    """The files of the package."""
    return [path for path in sorted((REPOSITORY / "pymailsuite").rglob("*")) if path.suffix in {".py", ".sql"}]


def citations() -> dict[str, set[str]]:
    """The files that cite each RFC, by its number."""
    cited: dict[str, set[str]] = {}
    for path in source_files():
        for number in CITED.findall(path.read_text(encoding="utf-8")):
            cited.setdefault(number, set()).add(path.relative_to(REPOSITORY / "pymailsuite").as_posix())
    return cited


def _rooms(paths: set[str]) -> str:
    """The rooms those files are in."""
    return ", ".join(f"``{room}``" for room in sorted({path.partition("/")[0].removesuffix(".py") for path in paths}))


def report() -> str:
    """The page's text."""
    cited = citations()
    rows = []
    for rfc in listed_rfcs():
        cells = (f":rfc:`{rfc.number}`", rfc.title, rfc.support, _rooms(cited.get(rfc.number, set())))
        rows.append("   * - " + "\n     - ".join(cells) + "\n")
    return _HEAD + "".join(rows)
