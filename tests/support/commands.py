"""The command ``pymailsuite`` in processes of its own that need not import it.

They are forked from a process that did so once. Starting Python anew takes a second of the processor each time, and
commands are run some hundred times.
"""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymailsuite.cli.main import main
from tests.support.patience import PATIENCE_S

_CLI = Path(sys.modules[main.__module__].__file__ or "").parent


@functools.cache
def _forks() -> Any:
    context = multiprocessing.get_context("forkserver")
    modules = sorted(path.stem for path in _CLI.glob("[a-z]*.py"))
    context.set_forkserver_preload([__name__, *(f"pymailsuite.cli.{module}" for module in modules)])
    return context


def run_octets(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run it to its end; AssertionError if that does not come."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stdin").write_bytes(stdin)
        process = _forks().Process(target=_run, args=(words, name))
        process.start()
        process.join(PATIENCE_S)
        ended = process.exitcode is not None
        if not ended:
            process.kill()
            process.join()
        assert ended, f"{words} does not end: {(folder / 'stderr').read_text('utf-8', 'replace')}"
        out, err = ((folder / stream).read_bytes() for stream in ("stdout", "stderr"))
        return subprocess.CompletedProcess(words, process.exitcode, out, err)


def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The same with texts."""
    done = run_octets(*words, stdin=stdin.encode())
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


def _run(words: Sequence[str], folder: str) -> None:
    """In the new process."""
    for number, (stream, flags) in enumerate(
        (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY | os.O_CREAT), ("stderr", os.O_WRONLY | os.O_CREAT))
    ):
        descriptor = os.open(os.path.join(folder, stream), flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.argv = ["pymailsuite", *words]
    main()
