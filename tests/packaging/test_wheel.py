"""The wheel, in an empty environment: twistd finds the plugin, and the server comes up."""

from __future__ import annotations

import os
import signal
import site
import subprocess
import sysconfig
import tempfile
import unittest
import venv
import zipfile
from pathlib import Path
from typing import ClassVar

from tests.acceptance_report import REPOSITORY
from tests.support.server import free_port_base
from tests.support.wheels import build_wheel, install

_SOURCES = ("pymailsuite", "twisted", "setup.cfg", "pyproject.toml", "README.rst", "LICENSE", "MANIFEST.in")


class WheelTests(unittest.TestCase):
    """A wheel unpacked where pip would, and the dependencies of this environment beside it."""

    folder: ClassVar[Path]
    wheel: ClassVar[Path]
    python: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.wheel = build_wheel(REPOSITORY, _SOURCES, cls.folder)
        environment = cls.folder / "environment"
        venv.create(environment, with_pip=False, symlinks=True)
        cls.python = environment / "bin" / "python"
        packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(environment)}))
        install(cls.wheel, packages)
        # The dependencies, but not what is installed from this source tree: a .pth file in such a folder is not read.
        (packages / "dependencies.pth").write_text("\n".join([*site.getsitepackages(), site.getusersitepackages()]))

    def run_python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def test_it_holds_the_plugin_and_nothing_else_of_twisted(self) -> None:
        with zipfile.ZipFile(self.wheel) as archive:
            names = archive.namelist()
        of_twisted = sorted(name for name in names if name.startswith("twisted/"))
        expected = [f"twisted/plugins/{path.name}" for path in (REPOSITORY / "twisted/plugins").glob("*.py")]
        self.assertEqual(of_twisted, sorted(expected))

    def test_it_holds_all_modules_and_schema_files(self) -> None:
        with zipfile.ZipFile(self.wheel) as archive:
            names = set(archive.namelist())
        package = REPOSITORY / "pymailsuite"
        files = [*package.rglob("*.py"), *package.rglob("*.sql"), package / "py.typed"]
        expected = {path.relative_to(REPOSITORY).as_posix() for path in files}
        self.assertEqual(expected - names, set())
        self.assertFalse([name for name in names if name.startswith("tests")])

    def test_the_package_is_the_one_from_the_wheel(self) -> None:
        shown = self.run_python("-c", "import pymailsuite; print(pymailsuite.__file__)").stdout
        self.assertTrue(shown.startswith(str(self.folder)), shown)

    def test_twistd_lists_it(self) -> None:
        shown = self.run_python("-c", "from twisted.scripts.twistd import run; run()", "--help")
        self.assertIn("    pymailsuite ", shown.stdout, shown.stderr)

    def test_the_server_comes_up_and_stops(self) -> None:
        data = self.folder / "data"
        command = [self.python, "-m", "pymailsuite", "dev", "--dir", data, "--port-base", str(free_port_base())]
        with (self.folder / "log").open("wb") as log:
            server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout is not None
            lines = iter(server.stdout)
            self.assertIn("ready\n", lines, (self.folder / "log").read_text())
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(30), -signal.SIGTERM)
        finally:
            server.kill()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
        self.assertIn("server.stopped", (data / "log").read_text())
