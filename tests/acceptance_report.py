"""The acceptance report: each row of the list with the tests that show it, found by reading the tests.

Nothing is run or imported: decorators ``@acceptance("S047")`` are found in the syntax tree, transcripts by their first
line ``# acceptance: S047``. ``docs/generate.py`` writes the report when the documentation is built.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
ROWS_FILE = REPOSITORY / "docs/acceptance-rows.tsv"

_TRANSCRIPT_MARK = re.compile(r"#\s*acceptance:\s*(.*)")


@frozen
class Row:
    """One demand, and when it counts as met."""

    row_id: str
    section: str
    demand: str
    works_when: str


@frozen
class Mark:
    """A test that says it shows a row."""

    row_id: str
    path: str
    test: str


def rows() -> list[Row]:
    """The acceptance list."""
    with ROWS_FILE.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(lines)
        return [Row(*line) for line in lines]


def marks(folder: Path = TESTS) -> list[Mark]:
    """All marks in the tests of a folder, by row, path and test."""
    found: set[tuple[str, str, str]] = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder.parent).as_posix()
        if path.suffix == ".py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found.update((row_id, name, test) for test, row_id in _marks_in(tree, ""))
        elif path.is_file() and "__pycache__" not in path.parts:
            found.update((row_id, name, "") for row_id in _transcript_rows(path))
    return [Mark(*mark) for mark in sorted(found)]


def _marks_in(tree: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        name = prefix + node.name
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("acceptance"):
                for argument in decorator.args:
                    yield name, ast.literal_eval(argument)
        yield from _marks_in(node, name + ".")


def _transcript_rows(path: Path) -> list[str]:
    with path.open("rb") as file:
        first = file.readline().decode("utf-8", "replace")
    match = _TRANSCRIPT_MARK.match(first)
    return match[1].replace(",", " ").split() if match else []


# --- the report -----------------------------------------------------------------------------------------------------


def report() -> str:
    """``docs/acceptance.rst``: first what tests show, then what they do not show yet."""
    by_row: dict[str, list[Mark]] = {}
    for mark in marks():
        by_row.setdefault(mark.row_id, []).append(mark)
    listed = rows()
    shown = [row for row in listed if row.row_id in by_row]
    lines = [
        "What it does",
        "============",
        "",
        ".. Generated from the marks in the tests by docs/generate.py.",
        "",
        ".. contents::",
        "   :local:",
        "   :depth: 2",
        "",
        "Each row is a demand, when it counts as met, and the tests that show it. A test names its rows with",
        '``@acceptance("S047")``, a transcript with a first line ``# acceptance: S047``. A row with several',
        "clauses may be shown by several tests, and in part only.",
        "",
        f"Rows with at least one test: {len(shown)} of {len(listed)}.",
    ]
    for title, part in (
        ("What works", shown),
        ("What does not yet", [row for row in listed if row.row_id not in by_row]),
    ):
        lines += ["", title, "-" * len(title)]
        section = ""
        for row in part:
            if row.section != section:
                section = row.section
                lines += ["", section, "~" * len(section)]
            lines += _row_lines(row, by_row.get(row.row_id, []))
    return "\n".join(lines) + "\n"


def _row_lines(row: Row, tests: Sequence[Mark]) -> list[str]:
    lines = ["", f"**{row.row_id}** {_rst(row.demand)}", f"    Works when: {_rst(row.works_when)}"]
    if tests:
        lines += ["", "    Shown by:", ""]
        lines += [f"    - ``{mark.path}``" + (f" ``{mark.test}``" if mark.test else "") for mark in tests]
    return lines


def _rst(text: str) -> str:
    """Text with Markdown code spans as reStructuredText."""
    spans = text.split("`")
    joined = ""
    for index, span in enumerate(spans):
        is_code = index % 2 == 1 and index + 1 < len(spans)
        part = f"``{span.strip()}``" if is_code else _escaped(span)
        # Inline markup must stand apart from what is next to it; "\\ " does so invisibly.
        if joined and part and not joined[-1].isspace() and not part[0].isspace():
            joined += "\\ "
        joined += part
    return joined


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_|])", r"\\\1", text)


if __name__ == "__main__":
    print(report(), end="")
