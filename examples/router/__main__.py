# SPDX-License-Identifier: MIT
"""Run the router: ``python -m examples.router --config FILE --data DIRECTORY``, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure

from examples.router.configuration import load
from examples.router.service import Router
from zlmdb.errors import ConfigError

_HERE = Path(__file__).parent


def main() -> int:
    """Return the exit status: 0 for a clean end, 1 if it could not start or stop, 2 for a faulty configuration."""
    from twisted.internet import reactor

    options = _options()
    warnings: Any = LogLevelFilterPredicate(LogLevel.warn)
    everything: Any = textFileLogObserver(sys.stderr)
    observer: Any = FilteringLogObserver(everything, [warnings])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    try:
        config = load(options.config, options.data, reactor, options.port)
        router = Router(config, reactor)
        _make_directory(options.data)
    except ConfigError as error:
        for problem in error.problems or (error,):
            print(f"configuration: {problem}", file=sys.stderr)
        return 2
    return _Run(router, options.data / "statistics.json", reactor).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.router", description="A small event router.")
    parser.add_argument("--config", type=Path, default=_HERE / "config.json", help="a JSON file")
    parser.add_argument(
        "--data", type=Path, default=_HERE.parents[1] / "build" / "router", help="where relative store paths begin"
    )
    parser.add_argument("--port", type=int, help="instead of the configured one; 0 for any free one")
    return parser.parse_args()


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        problem = f"--data: expected a directory, or a place where one can be made: {exc}"
        raise ConfigError(problem, problems=(problem,)) from exc


class _Run:
    """From the start of the reactor to its end."""

    def __init__(self, router: Router, statistics: Path, reactor: Any) -> None:
        self._router = router
        self._statistics = statistics
        self._reactor = reactor
        self._status = 0

    def run(self) -> int:
        reactor = self._reactor
        reactor.callWhenRunning(self._start)
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        reactor.run()
        return self._status

    def _start(self) -> None:
        Deferred.fromCoroutine(self._router.start()).addCallbacks(self._ready, self._failed)

    def _ready(self, address: str | None) -> None:
        if address is not None:
            print(f"ready {address}", flush=True)

    def _stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._router.stop()).addCallbacks(self._stopped, self._failed)

    def _stopped(self, statistics: dict[str, Any]) -> None:
        text = json.dumps(statistics, allow_nan=False)
        self._statistics.write_text(text + "\n")
        print(f"stopped {text}", flush=True)

    def _failed(self, failure: Failure) -> None:
        self._status = 1
        print(f"failed: {failure.value}", file=sys.stderr)
        if self._reactor.running and not self._reactor._stopped:
            self._reactor.stop()


if __name__ == "__main__":
    sys.exit(main())
