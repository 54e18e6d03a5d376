# SPDX-License-Identifier: MIT
"""Child processes that run modules of this example."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

ROOT: Final = Path(__file__).parents[2]
"""The directory from which ``examples.router`` can be imported."""


class Ended(Exception):
    """A process ended before it did what was waited for."""


class Program(ProcessProtocol):
    """A running module. Reactor thread only."""

    def __init__(self, reactor: Any, module: str, *arguments: object) -> None:
        self.output = ""
        self.errors = ""
        self.running = True
        self._status = 0
        self._waiting: list[Deferred[int]] = []
        self._line: tuple[str, Deferred[str]] | None = None  # what `line` waits for
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self._transport = reactor.spawnProcess(self, sys.executable, command, os.environ, str(ROOT))

    def line(self, beginning: str) -> Deferred[str]:
        """Fire with the rest of the first line of the output that begins so; fails with `Ended`."""
        self._line = (beginning, Deferred())
        self._look()
        return self._line[1]

    def ended(self) -> Deferred[int]:
        """Fire with the exit status, negative for a signal, when the process has ended."""
        waiter: Deferred[int] = Deferred()
        self._waiting.append(waiter)
        self._tell_end()
        return waiter

    def signal(self, name: str) -> None:
        """Send a signal, to nobody if the process has ended."""
        with contextlib.suppress(ProcessExitedAlready):
            self._transport.signalProcess(name)

    def outReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep the output."""
        self.output += data.decode(errors="replace")
        self._look()

    def errReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep what went wrong."""
        self.errors += data.decode(errors="replace")

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """Tell the end."""
        error: Any = reason.value  # ProcessDone or ProcessTerminated
        self._status = status = -error.signal if error.signal else error.exitCode or 0
        self.running = False
        if self._line is not None and not self._line[1].called:
            self._line[1].errback(Ended(f"ended with {status}: {self.errors.strip()[-1000:]}"))
        self._tell_end()

    def _tell_end(self) -> None:
        while not self.running and self._waiting:
            self._waiting.pop().callback(self._status)

    def _look(self) -> None:
        if self._line is None or self._line[1].called:
            return
        beginning, found = self._line
        for line in self.output.split("\n")[:-1]:
            if line.startswith(beginning):
                found.callback(line.removeprefix(beginning).strip())
                return
