# SPDX-License-Identifier: MIT
"""Random transactions, the same for a number each time, performed in a database and in a model of it.

As a program: performs transactions from the one after the last in the database, and acknowledges each after its
commit. Arguments: folder of the database, acks, how many (0: until it is ended).
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import zlmdb
from zlmdb.orm.check import check

Operation = tuple[Any, ...]


class Store(zlmdb.Schema):
    def attach(self, db: zlmdb.Database) -> None:
        self.rows = zlmdb.MapOidCbor(1)
        self.by_name = zlmdb.MapStringOid(2)
        self.by_role = zlmdb.MapStringOid(3)
        self.groups = zlmdb.MapOidOidSet(4)
        self.done = zlmdb.MapStringOid(5)
        self.rows.attach_index("name", self.by_name, lambda row: row["name"])
        self.rows.attach_index("role", self.by_role, lambda row: row["role"], nullable=True, unique=False)


def operations(number: int) -> list[Operation]:
    """Return what transaction ``number`` does."""
    rng = random.Random(number)
    return [_operation(rng) for _ in range(rng.randint(1, 8))]


def _operation(rng: random.Random) -> Operation:
    key = rng.randrange(40)
    what = rng.choices(["put", "delete", "undone", "add", "discard", "truncate", "rebuild"], [40, 15, 8, 20, 8, 1, 2])[
        0
    ]
    if what in {"put", "undone"}:
        size = rng.choice([0, 10, 300, 9000])  # the largest needs pages of its own
        row = {"name": f"{key}/{rng.randrange(3)}", "role": rng.choice([None, "a", "b"]), "text": "x" * size}
        return what, key, row
    return what, key, rng.randrange(30)


@dataclass
class Model:
    """What the database should hold after its first ``number`` transactions."""

    number: int = 0
    rows: dict[int, Any] = field(default_factory=dict)
    groups: dict[int, set[int]] = field(default_factory=dict)

    def advance(self, number: int) -> None:
        """Perform the transactions up to this one."""
        for each in range(self.number + 1, number + 1):
            for operation in operations(each):
                self._perform(*operation)
        self.number = number

    def _perform(self, what: str, key: int, argument: Any) -> None:
        if what == "put":
            self.rows[key] = argument
        elif what == "delete":
            self.rows.pop(key, None)
        elif what == "truncate":
            self.rows.clear()
        elif what == "add":
            self.groups.setdefault(key, set()).add(argument)
        elif what == "discard":
            self.groups.get(key, set()).discard(argument)


def perform(store: Store, txn: zlmdb.Transaction, what: str, key: int, argument: Any) -> None:
    if what == "put":
        store.rows[txn, key] = argument
    elif what == "undone":
        try:
            with txn.savepoint():
                store.rows[txn, key] = argument
                store.groups[txn, key].clear()
                raise InterruptedError
        except InterruptedError:
            pass
    elif what == "delete":
        del store.rows[txn, key]
    elif what == "truncate":
        store.rows.truncate(txn)
    elif what == "rebuild":
        store.rows.rebuild_indexes(txn)
    else:
        getattr(store.groups[txn, key], what)(argument)


def write(path: Path, tell: Callable[[bytes], object], how_many: int = 0) -> None:
    """Perform the next transactions; tell ``MID`` within some, and ``ACK`` and the number after each commit."""
    with zlmdb.Database(path) as db:
        store = db.attach(Store)
        with db.begin() as txn:
            first = (store.done[txn, "number"] or 0) + 1
        for number in range(first, first + how_many) if how_many else count(first):
            with db.begin(write=True) as txn:
                store.done[txn, "number"] = number
                for operation in operations(number):
                    perform(store, txn, *operation)
                if number % 3 == 0:
                    tell(b"MID\n")
                    store.groups[txn, 99].add(number)  # so that a half would show
                    store.groups[txn, 99].discard(number)
            tell(b"ACK %d\n" % number)


def faults(path: Path, acked: int, model: Model) -> list[str]:
    """Return what is wrong in the database; advance the model to the last transaction in it."""
    with zlmdb.Database(path, create=False) as db:
        store = db.attach(Store)
        report = check(db, store)
        found = [str(problem) for problem in report.problems]
        with db.begin() as txn:
            number = store.done[txn, "number"] or 0
            rows = dict(store.rows.select(txn))
            groups = {key: set(members) for key, members in store.groups.select(txn)}
    if not acked <= number <= acked + 1:
        found.append(f"{acked} transactions were acknowledged, and {number} are there")
    model.advance(number)
    if rows != model.rows or groups != {key: members for key, members in model.groups.items() if members}:
        found.append(f"not what transaction {number} made")
    return found


if __name__ == "__main__":
    acks = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write(Path(sys.argv[1]), lambda line: line.startswith(b"ACK") and os.write(acks, line), int(sys.argv[3]))
