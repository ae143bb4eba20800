"""The order of the rooms: who may import whom, as docs/architecture.rst draws it.

A room imports rooms that stand before it and the ground, never one of its own line or a later one.
"""

from __future__ import annotations

import ast
import unittest
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pymailsuite

PACKAGE = Path(pymailsuite.__file__).parent

GROUND = ("errors", "values", "interfaces", "config.base", "config.sections")
"""What everybody may import: it is values and declarations, and has no behaviour of a room's own."""

GROUND_IMPORTS = ("errors", "values", "interfaces", "config.base", "message.structure", "message.limits")
"""What the ground itself may import, apart from its own modules."""

LINES = (
    ("wire", "message", "periodic", "memory", "plugins"),
    ("dns", "bus"),
    ("config",),
    ("store",),
    ("directory",),
    ("sasl",),
    ("auth",),
    ("policy",),
    ("smtp", "pop3", "imap"),
    ("queue", "relay", "delivery", "web"),
    ("server",),
    ("workers",),
    ("tap",),
    ("cli",),
    ("__main__",),
)
"""The rooms, from the ground up."""


def module_name(path: Path) -> str:
    """A module's name below the package: ``store.engines``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path) -> Iterator[str]:
    """Names below the package of the modules a module imports, when it is imported or later, for their types alone or
    not."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # from pymailsuite.imap import grammar: a module; from pymailsuite.imap.grammar import atom: not one.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, _, below = name.partition(".")
            if top != "pymailsuite" or not below:
                continue
            yield below if below in MODULES else below.rpartition(".")[0]


def is_in(module: str, rooms: tuple[str, ...]) -> bool:
    """Whether a module is one of these or inside one of these."""
    return any(module == room or module.startswith(room + ".") for room in rooms)


def room_of(module: str) -> str:
    """The room a module belongs to: its first name."""
    return module.partition(".")[0]


class RoomTests(unittest.TestCase):
    """The drawn order is the order of the code."""

    def test_every_room_has_its_place(self) -> None:
        known = {room for line in LINES for room in line}
        rooms = {room_of(module) for module in MODULES if module and not is_in(module, GROUND)}
        self.assertEqual(rooms - known, set())

    def test_a_room_imports_only_rooms_before_it(self) -> None:
        place = {room: number for number, line in enumerate(LINES) for room in line}
        wrong = []
        for module, path in sorted(MODULES.items()):
            for imported in imports(path):
                if not imported or is_in(imported, GROUND) or room_of(imported) == room_of(module):
                    continue
                if is_in(module, GROUND):
                    if not is_in(imported, GROUND_IMPORTS):
                        wrong.append(f"{module} (ground) imports {imported}")
                elif module and place[room_of(imported)] >= place[room_of(module)]:
                    wrong.append(f"{module} imports {imported}")
        self.assertEqual(wrong, [])

    def test_no_module_imports_itself_in_a_circle(self) -> None:
        graph = {module: set(imports(path)) - {module} for module, path in MODULES.items()}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as circle:
            self.fail(" imports ".join(reversed(circle.args[1])))

    def test_the_cores_of_protocols_know_no_reactor_no_clock_and_no_log(self) -> None:
        cores = ("smtp.session", "smtp.conversation", "smtp.transaction", "smtp.login", "pop3.session")
        cores += ("imap.session", "imap.mailbox_session", "imap.commands", "imap.extensions", "imap.vocabulary")
        world = ("twisted.logger", "twisted.internet.reactor", "twisted.internet.task", "twisted.internet.protocol")
        wrong = []
        for module, path in MODULES.items():
            if is_in(module, cores):
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.ImportFrom) and f"{node.module}".startswith(world):
                        wrong.append(f"{module} imports {node.module}")
        self.assertEqual(wrong, [])
