# SPDX-License-Identifier: MIT
"""Kills a writer again and again, and looks at what it left each time. Arguments: folder, format, rounds, seed.

Writers and lookers are forked from this process, which has loaded everything and never opens a database, so that a
round takes milliseconds. Prints one line of JSON for each round: acknowledged, stored, faults.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

import zlmdb
from tests.crash.processes import ack_id
from tests.crash.random_writes import Model, Store, faults, write


def forked(run: Callable[[int], object]) -> tuple[int, IO[bytes]]:
    """Run a function in a child; return its pid and what it writes to the descriptor that it is given."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, os.fdopen(reading, "rb")
    try:
        run(writing)
        os._exit(0)
    except BaseException:  # noqa: BLE001  the child must not return into the parent's code
        traceback.print_exc()
        os._exit(3)


def ended(child: int, expected: int) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != expected:
        raise SystemExit(f"a child ended with {status}")


def killed_writer(path: Path, lines: int) -> int:
    """Let a child write until it has told so many lines, kill it; return the last number that it acknowledged."""
    child, told = forked(lambda out: write(path, lambda line: os.write(out, line)))
    with told:
        seen = [told.readline() for _ in range(lines)]
        os.kill(child, signal.SIGKILL)
        seen += told.read().splitlines(keepends=True)
    ended(child, -signal.SIGKILL)
    return max((int(ack_id(line.rstrip())) for line in seen if line.startswith(b"ACK")), default=0)


def looked_at(path: Path, acked: int, model: Model) -> tuple[int, list[str]]:
    def look(out: int) -> None:
        found = faults(path, acked, model)
        os.write(out, json.dumps([model.number, found]).encode())

    child, told = forked(look)
    with told:
        number, found = json.loads(told.read() or "[0, []]")
    ended(child, 0)
    return number, found


def created(path: Path, lib_version: str) -> None:
    def create(_out: int) -> None:
        with zlmdb.Database(path, lib_version=lib_version) as db:
            db.attach(Store)

    child, told = forked(create)
    told.close()
    ended(child, 0)


def main(path: Path, lib_version: str, rounds: int, seed: int) -> None:
    rng, model, acked = random.Random(seed), Model(), 0
    created(path, lib_version)
    for _ in range(rounds):
        # what was there when the writer began counts as acknowledged: it was seen
        acked = max(killed_writer(path, rng.randint(1, 12)), model.number)
        number, found = looked_at(path, acked, model)
        model.advance(number)
        print(json.dumps([acked, number, found]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
