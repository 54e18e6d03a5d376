# SPDX-License-Identifier: MIT
"""The near end of a process that answers each line that it is sent with a line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import IO, Any

from benchmarks.installing import ROOT, PeerFailed


class Process:
    """Runs a module of this directory. ``about`` says in errors what it is."""

    def __init__(self, about: str, module: str, *arguments: str) -> None:
        self.about = about
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line: str) -> dict[str, Any]:
        """Return the answer to a line; raises `PeerFailed` if it is an error or there is none."""
        with suppress(BrokenPipeError):  # then there is no answer either
            print(line, file=self._stdin, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return what it says next, as it does without being asked when it is ready; raises `PeerFailed`."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("{"):
            raise PeerFailed(f"the process of {self.about} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(f"{self.about}: {answer['error']}")
        return answer

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def close(self) -> None:
        """Wait until it has ended, as it does when there are no more lines."""
        with self._process, suppress(BrokenPipeError):
            self._stdin.close()
            self._process.wait()
