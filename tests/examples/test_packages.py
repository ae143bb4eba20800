"""What every package of ``examples/`` has."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.support.wheels import EXAMPLES

PACKAGES = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))
CODE_LINES_MAX = 40
LONGER = frozenset({"memory_store"})
"""A whole back end is no matter of a page."""


def code_lines(path: Path) -> int:
    """Lines of a module that are neither empty, nor imports, nor comments or docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Module) or not hasattr(node, "lineno"):
            continue
        lines |= {node.lineno, node.end_lineno} if isinstance(node, ast.expr) else {node.lineno}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def test_there_are_examples() -> None:
    assert PACKAGES


def test_each_folder_is_a_package() -> None:
    assert [path for path in sorted(EXAMPLES.iterdir()) if path.is_dir() and path not in PACKAGES] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_it_says_what_it_is_and_how_it_is_used(package: Path) -> None:
    assert (package / "README.rst").read_text(encoding="utf-8").count("\n") > 4
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"].startswith("pymailsuite-") and "pymailsuite" in project["dependencies"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_it_is_short(package: Path) -> None:
    if package.name in LONGER:
        pytest.skip("a whole back end")
    modules = [path for path in package.rglob("*.py") if "plugins" not in path.parts]
    assert sum(code_lines(path) for path in modules) <= CODE_LINES_MAX


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_suite_runs_it(package: Path) -> None:
    tests = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    assert any(f'installed("{package.name}"' in text for text in tests)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_page_on_plugins_names_it(package: Path) -> None:
    page = (EXAMPLES.parent / "docs/plugins.rst").read_text(encoding="utf-8")
    assert f"examples/{package.name}" in page
