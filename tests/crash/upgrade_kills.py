# SPDX-License-Identifier: MIT
"""Kills the upgrade of a table at each place where that could matter. Arguments: folder, format, map.

Each upgrade runs in a process forked from this one, which never opens a database, and kills itself with SIGKILL: at
each of its commits, right before and right after it, and at every few of its writes. Then the upgrade is run again to
its end. Prints one line of JSON for each kill: where it was, and whether the table and the old slot are right.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zlmdb
from tests.crash.kill_rounds import ended, forked
from tests.old_files import declared, dump, in_order, make, read, records
from zlmdb.orm import upgrading
from zlmdb.storage import Transaction

RECORDS, SLICE, PLACES = 60, 20, 8
SLOT = 3


def kill_at(number: int) -> Callable[[], None]:
    """Return a function that ends this process when it is called for the ``number``-th time."""
    calls = iter(range(1, number + 1))

    def reached() -> None:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def arm(place: str, number: int) -> None:
    """Let this process end at the ``number``-th commit or write."""
    reached = kill_at(number)
    commit, put = Transaction._end_write, Transaction.put

    def end_write(txn: Transaction, **options: Any) -> None:
        if place == "before commit":
            reached()
        commit(txn, **options)
        if place == "after commit":
            reached()

    def put_record(txn: Transaction, *args: Any, **options: Any) -> bool:
        if place == "write":
            reached()
        return put(txn, *args, **options)

    Transaction._end_write = end_write  # type: ignore[method-assign, assignment]
    Transaction.put = put_record  # type: ignore[method-assign, assignment]


def upgrade(path: Path, name: str, place: str, number: int) -> None:
    with zlmdb.Database(path) as db:
        arm(place, number)
        db.attach_table(declared(name))


def look(path: Path, name: str) -> list[str]:
    """Run the upgrade to its end, and return what is wrong."""
    with zlmdb.Database(path) as db:
        before = dump(db, SLOT)
        table: Any = db.attach_table(declared(name))
        found = []
        with db.begin() as txn:
            if read(table, txn) != in_order(records(name, RECORDS)):
                found.append("the table differs")
        if dump(db, SLOT) != before:
            found.append("the old slot has changed")
        if db.stats()["num_slots"] != 2 or table.slot == SLOT:
            found.append("the catalogue differs")
        if not db.check(table).ok:
            found.append("the check fails")
        db.drop_old_layouts()
        return found


def in_child(use: Callable[[], object], expected: int = 0) -> Any:
    child, told = forked(lambda out: os.write(out, json.dumps(use()).encode()))
    with told:
        said = told.read()
    ended(child, expected)
    return json.loads(said) if said else None


def fresh(path: Path, lib_version: Any, name: str) -> None:
    with zlmdb.Database(path, lib_version=lib_version) as db:
        make(db, name, SLOT, records(name, RECORDS).items())


def counted(path: Path, name: str) -> dict[str, int]:
    """Return the number of commits and writes of an upgrade that is left alone."""
    numbers = {"commit": 0, "write": 0}
    commit, put = Transaction._end_write, Transaction.put

    def end_write(txn: Transaction, **options: Any) -> None:
        numbers["commit"] += 1
        commit(txn, **options)

    def put_record(txn: Transaction, *args: Any, **options: Any) -> bool:
        numbers["write"] += 1
        return put(txn, *args, **options)

    with zlmdb.Database(path) as db:
        Transaction._end_write, Transaction.put = end_write, put_record  # type: ignore[method-assign, assignment]
        db.attach_table(declared(name))
    return numbers


def kills(numbers: dict[str, int]) -> Iterator[tuple[str, int]]:
    for number in range(1, numbers["commit"] + 1):
        yield "before commit", number
        yield "after commit", number
    for number in range(1, numbers["write"] + 1, numbers["write"] // PLACES):
        yield "write", number


def main(folder: Path, lib_version: str, name: str) -> None:
    upgrading.SLICE_RECORDS = SLICE * (20 if name.endswith("Set") else 1)  # members
    original = folder / "original"
    in_child(lambda: fresh(original, lib_version, name))
    shutil.copytree(original, folder / "counted")
    numbers = in_child(lambda: counted(folder / "counted", name))
    for at, (place, number) in enumerate(kills(numbers)):
        path = folder / str(at)
        shutil.copytree(original, path)
        in_child(lambda: upgrade(path, name, place, number), -signal.SIGKILL)  # noqa: B023  called at once
        print(json.dumps([place, number, in_child(lambda: look(path, name))]), flush=True)  # noqa: B023


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
