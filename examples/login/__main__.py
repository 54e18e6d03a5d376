# SPDX-License-Identifier: MIT
"""Run the application, ``python -m examples.login run``, or add a user: ``python -m examples.login add NAME``."""

from __future__ import annotations

import argparse
import getpass
import logging
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import react
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from examples.login import passwords
from examples.login.app import Login
from zlmdb.errors import ZlmdbError
from zlmdb.twisted import open_database
from zlmdb.twisted.stores import StoreService
from zlmdb_cookiestore import CookieStore


def main() -> int:
    """Return the exit status: 0 for a clean end, 1 if it could not start, 2 for bad arguments."""
    options = _options()
    options.data.mkdir(parents=True, exist_ok=True)
    if options.command == "add":
        return _add(options.data / "users", options.name)
    logging.basicConfig(level=logging.WARNING)
    warnings: Any = LogLevelFilterPredicate(LogLevel.warn)
    everything: Any = textFileLogObserver(sys.stderr)
    observer: Any = FilteringLogObserver(everything, [warnings])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    try:
        react(lambda reactor: Deferred.fromCoroutine(_run(reactor, options)))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.login", description="A web page with logins.")
    here = Path(__file__).parents[2] / "build" / "login"
    parser.add_argument("--data", type=Path, default=here, help="directory of the databases")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="serve the page until SIGTERM or Ctrl-C")
    run.add_argument("--port", type=int, default=8080, help="0 for any free one")
    run.add_argument("--behind-tls", action="store_true", help="a proxy speaks TLS with the browsers")
    add = commands.add_parser("add", help="add a user, whose password is read from the terminal or standard input")
    add.add_argument("name")
    return parser.parse_args()


def _add(path: Path, name: str) -> int:
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not name or not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
        print(f"a password has {passwords.SHORTEST} to {passwords.LONGEST} characters", file=sys.stderr)
        return 2
    passwords.add(path, name, password)
    return 0


async def _run(reactor: Any, options: argparse.Namespace) -> None:
    sessions: dict[str, Any] = {"type": "cookiestore", "path": str(options.data / "sessions"), "cookie-name": "login"}
    sessions |= {"max-age": 3600, "sliding": True, "longest-life": 7 * 86400}
    stores = StoreService({"stores": [sessions]}, reactor, strict=True)
    stopped: Deferred[None] = Deferred()
    reactor.addSystemEventTrigger("before", "shutdown", stopped.callback, None)
    try:
        stores.startService()
        await stores.started
        async with open_database(options.data / "users", reactor=reactor, close_at_shutdown=False) as db:
            gate = passwords.Gate(db, await db.attach(passwords.Users))
            login = Login(stores.store("cookiestore", CookieStore), gate, behind_tls=options.behind_tls)
            port = reactor.listenTCP(options.port, login.site(), interface="127.0.0.1")
            print(f"ready http://127.0.0.1:{port.getHost().port}", flush=True)
            await stopped
            await port.stopListening()
    except (ZlmdbError, CannotListenError, OSError) as error:
        print(f"failed: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        await stores.stopService()


if __name__ == "__main__":
    sys.exit(main())
