# SPDX-License-Identifier: MIT
"""Python children that acknowledge what they have done, and the end of them.

A child acknowledges with one `os.write` of `ACK <id>` and a newline to a file; that line outlives any signal.
Failures are raised, not asserted: pytest keeps only the assert statements of test modules under `python -O`.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

_ROOT = Path(__file__).resolve().parents[2]
_POLL = 0.005


def child_environment(**extra: str) -> dict[str, str]:
    """Return this process's environment with the checkout's packages importable, and `extra` on top."""
    places = [_ROOT, *(_ROOT / "schemas" / name for name in ("cookiestore", "eventhistory", "realmstore"))]
    path = [str(place) for place in places] + [p for p in (os.environ.get("PYTHONPATH"),) if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1", **extra}


def acked(path: Path) -> list[str]:
    """Return the ids acknowledged in `path`, in order; a torn last line and a missing file acknowledge nothing."""
    if not path.exists():
        return []
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    return [ack_id(line) for line in whole.split(b"\n")] if whole else []


def ack_id(line: bytes) -> str:
    """Return the id in one acknowledgement, given without its newline."""
    if not line.startswith(b"ACK ") or len(line) < 5:
        raise AssertionError(f"not an acknowledgement: {line!r}")
    return line[4:].decode()


def run_python(argv: Sequence[str | Path], *, cwd: Path | None = None, timeout: float = 60.0, stdin: str = "") -> str:
    """Run a Python child to its end, within `timeout` seconds, and return what it printed.

    For looking at replayed files: a damaged one can end the process that reads it with SIGBUS.
    Raises AssertionError with the child's output when it failed.
    """
    command = [sys.executable, *map(str, argv)]
    done = subprocess.run(
        command, cwd=cwd, env=child_environment(), input=stdin, capture_output=True, text=True, timeout=timeout
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Child:
    """A Python child running `argv` (a script and its arguments, or `-c` and code), ended when the block is left."""

    def __init__(
        self, argv: Sequence[str | Path], acks: Path, *, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        self._command = [sys.executable, *map(str, argv)]
        self._acks = acks
        self._cwd = cwd
        self._env = env if env is not None else child_environment()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._output = tempfile.TemporaryFile()  # a pipe could fill and block the child
        self._process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._running.poll() is None:
            self._running.kill()
        self._running.wait()
        if self._output is not None:
            self._output.close()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the child is started by its with block"
        return self._process

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def acked(self) -> list[str]:
        """What the child has acknowledged so far."""
        return acked(self._acks)

    @property
    def output(self) -> str:
        """All that the child has printed so far, to stdout and stderr."""
        assert self._output is not None
        # pread, not seek and read: the child writes through the same file offset
        return os.pread(self._output.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_for_acks(self, count: int, *, within: float = 30.0) -> list[str]:
        """Return the acknowledgements once there are at least `count`; AssertionError after `within` seconds."""
        deadline = time.monotonic() + within
        while True:
            ended = self._ended_within(_POLL)
            if len(ids := self.acked) >= count:
                return ids
            if ended:
                raise AssertionError(f"the child ended with {self._running.returncode}, {len(ids)} acks\n{self.output}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(ids)} of {count} acks in {within} s\n{self.output}")

    def wait(self, *, within: float = 30.0) -> int:
        """Return the exit status (negative: the signal) once the child has ended; AssertionError after `within` s."""
        if not self._ended_within(within):
            raise AssertionError(f"the child still runs after {within} s\n{self.output}")
        return int(self._running.returncode)

    def kill(self, number: signal.Signals = signal.SIGKILL, *, within: float = 30.0) -> int:
        """Send the signal, reap the child, and return its exit status as `wait` does."""
        self._running.send_signal(number)
        return self.wait(within=within)

    def _ended_within(self, seconds: float) -> bool:
        try:
            self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
