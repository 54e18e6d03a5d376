# SPDX-License-Identifier: MIT
"""Other processes for tests: Python code, run to its end or held at a line until it may go on."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import IO, Self

import pytest

PRELUDE = """
import os, signal, sys, zlmdb
from zlmdb import errors
from pathlib import Path
words = zlmdb.MapStringString(1)

def hold(*said):
    print(*said, flush=True)
    sys.stdin.readline()

def refused(error, use, *args, **kwargs):
    try:
        use(*args, **kwargs)
    except error as exc:
        assert exc.next_step, exc
        return exc
    raise SystemExit(f"{error.__name__} was expected")
"""


def hard(code: str) -> str:
    """Return ``code`` with assertions that hold under python -O too."""

    class Harden(ast.NodeTransformer):
        def visit_Assert(self, node: ast.Assert) -> ast.AST:
            text = f"if not ({ast.unparse(node.test)}): raise AssertionError({ast.unparse(node.test)!r})"
            return ast.parse(text).body[0]

    return ast.unparse(Harden().visit(ast.parse(code)))


def run(code: str, *args: object, prefix: tuple[str, ...] = ()) -> str:
    """Run ``code`` in another process, which must succeed, and return what it printed."""
    command = [*prefix, sys.executable, "-c", hard(PRELUDE + code), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Held:
    """A process that runs ``code`` and stops at each ``hold(...)`` in it."""

    def __init__(self, code: str, *args: object, prefix: tuple[str, ...] = ()) -> None:
        command = [*prefix, sys.executable, "-c", hard(PRELUDE + code), *map(str, args)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def said(self) -> str:
        """Return the line it stopped at."""
        return pipe(self.process.stdout).readline().strip()

    def go_on(self) -> None:
        """Let it go on."""
        pipe(self.process.stdin).write("\n")
        pipe(self.process.stdin).flush()

    def finish(self) -> None:
        """Let it run to its end, which must be a good one."""
        self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def namespace(*kinds: str) -> tuple[str, ...]:
    """Return the command that runs a program in new namespaces, or skip where this process may not make them."""
    command = ("unshare", *(f"--{kind}" for kind in kinds), "--fork")
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"needs the right to make namespaces: {exc}")
    return command


def fill(path: Path, lib_version: str | None = None, records: int = 2000, size: int = 100) -> None:
    """Make a database of ``records`` records."""
    import zlmdb

    words = zlmdb.MapStringString(1)
    with zlmdb.Database(path, lib_version=lib_version) as db, db.begin(write=True) as txn:
        for number in range(records):
            words[txn, f"{number:06}"] = "x" * size
