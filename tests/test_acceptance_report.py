"""The acceptance report is what the tests say."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from tests.acceptance_report import Mark, marks, report, rows


class AcceptanceReportTests(unittest.TestCase):
    """Marks and the report made of them."""

    def test_every_mark_names_a_row_of_the_list(self) -> None:
        known = {row.row_id for row in rows()}
        self.assertEqual([mark for mark in marks() if mark.row_id not in known], [])

    def test_the_report_names_every_row(self) -> None:
        text = report()
        self.assertEqual([row.row_id for row in rows() if f"**{row.row_id}**" not in text], [])

    def test_decorators_and_transcripts_are_found(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "tests"
            folder.mkdir()
            (folder / "test_a.py").write_text(
                "class ATests:\n"
                "    @acceptance('S001', 'S002')\n"
                "    def test_x(self): pass\n"
                "    def test_y(self): pass\n"
            )
            (folder / "talk.txt").write_text("# acceptance: S003 S004\nC: NOOP\n")
            (folder / "plain.txt").write_text("C: NOOP\n# acceptance: S005\n")
            self.assertEqual(
                marks(folder),
                [
                    Mark("S001", "tests/test_a.py", "ATests.test_x"),
                    Mark("S002", "tests/test_a.py", "ATests.test_x"),
                    Mark("S003", "tests/talk.txt", ""),
                    Mark("S004", "tests/talk.txt", ""),
                ],
            )
