"""Packages built and installed as pip would, without network: our own, and those of ``examples/``."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import twisted.plugins
from tests.acceptance_report import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


def build_wheel(source: Path, names: Iterable[str], folder: Path) -> Path:
    """A wheel, in ``folder``, of what is named of a source tree: of a copy, so that no build folder is left in it."""
    copy = folder / "source"
    copy.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "dropin.cache")
    for name in names:
        path = source / name
        if path.is_dir():
            shutil.copytree(path, copy / name, ignore=ignore)
        else:
            shutil.copy(path, copy)
    built = subprocess.run(
        [sys.executable, "-c", f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> None:
    """Unpack a wheel of Python modules where they are imported from."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


@contextlib.contextmanager
def installed(*examples: str) -> Iterator[dict[str, str]]:
    """Packages of ``examples/``, built and installed into a folder of their own, where this process finds them.

    The environment for another process to find them, too. In the end they are gone, and so are their modules.
    """
    with tempfile.TemporaryDirectory(prefix="pymailsuite-example-") as temporary:
        site = Path(temporary) / "site"
        for name in examples:
            building = Path(temporary) / name
            building.mkdir()
            source = EXAMPLES / name
            install(build_wheel(source, sorted(path.name for path in source.iterdir()), building), site)
        plugins = str(site / "twisted/plugins")
        before = set(sys.modules)
        sys.path.insert(0, str(site))
        twisted.plugins.__path__.append(plugins)
        importlib.invalidate_caches()
        try:
            yield {**os.environ, "PYTHONPATH": str(site)}
        finally:
            twisted.plugins.__path__.remove(plugins)
            sys.path.remove(str(site))
            own = {path.stem for path in site.iterdir()} - {"twisted"}
            own_plugins = {f"twisted.plugins.{path.stem}" for path in Path(plugins).glob("*.py")}
            for name in set(sys.modules) - before:
                if name.partition(".")[0] in own or name in own_plugins:
                    del sys.modules[name]
