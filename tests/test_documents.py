"""Documents that must not fall behind the code."""

from __future__ import annotations

import configparser
import re
import unittest

from tests.acceptance_report import REPOSITORY
from tests.rfc_report import citations, listed_rfcs, source_files

_REQUIREMENT = re.compile(r"^[A-Za-z0-9._-]+")


class DocumentTests(unittest.TestCase):
    """What one place says of another."""

    def test_every_rfc_cited_is_listed(self) -> None:
        listed = [rfc.number for rfc in listed_rfcs()]
        self.assertEqual(listed, sorted(set(listed), key=int))
        missing = {number: sorted(paths) for number, paths in citations().items() if number not in listed}
        self.assertEqual(missing, {})

    def test_every_dependency_is_justified(self) -> None:
        parser = configparser.ConfigParser()
        parser.read(REPOSITORY / "setup.cfg")
        extras = [line for option in parser["options.extras_require"].values() for line in option.splitlines()]
        lines = [*parser["options"]["install_requires"].splitlines(), *extras]
        names = [match[0] for line in lines if (match := _REQUIREMENT.match(line.strip()))]
        text = (REPOSITORY / "docs/dependencies.rst").read_text(encoding="utf-8")
        self.assertGreater(len(names), 10)
        self.assertEqual([name for name in names if f"``{name}" not in text], [])

    def test_every_room_is_in_the_architecture(self) -> None:
        text = (REPOSITORY / "docs/architecture.rst").read_text(encoding="utf-8")
        rooms = [path.parent.name for path in (REPOSITORY / "pymailsuite").glob("*/__init__.py")]
        self.assertEqual([room for room in rooms if f"``{room}``" not in text], [])

    def test_no_module_is_too_long_to_read(self) -> None:
        lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in source_files()}
        self.assertEqual([str(path) for path, length in lengths.items() if length > 600], [])
