# SPDX-License-Identifier: MIT
"""A child that writes through an asynchronous database, and what its file has to hold after its end.

Arguments: folder, acks, face (``twisted`` or ``asyncio``), durability, how many records. They are put in bursts of
twenty, each by a call of its own; a call is acknowledged when it is answered.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import zlmdb

BURST = 20


def content(number: int) -> bytes:
    return b"%d " % number * (number * 37 % 200)


def missing(folder: Path, acked: list[str]) -> list[str]:
    """Return what is wrong in the file: acknowledged records that are not there as put, and gaps."""
    with zlmdb.Database(folder / "db") as db, db.begin() as txn:
        stored = dict(zlmdb.MapOidBytes(7).select(txn))
        problems = [str(problem) for problem in db.check(zlmdb.MapOidBytes(7)).problems]
    lost = [f"{number} is lost" for number in map(int, acked) if number not in stored]
    wrong = [f"{number} is wrong" for number, data in stored.items() if data != content(number)]
    gaps = [] if sorted(stored) == list(range(len(stored))) else ["a later record is there and an earlier one is not"]
    return [*lost, *wrong, *gaps, *problems]


def main(folder: str, path: str, name: str, durability: str, count: str) -> None:
    from tests.faces import FACES

    face, acks = FACES[name], os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def acknowledge(number: int) -> None:
        os.write(acks, b"ACK %d\n" % number)

    async def traffic(open_database: Any) -> None:
        async with open_database(Path(folder, "db")) as db:
            table = db.map(zlmdb.MapOidBytes(7))
            for start in range(0, int(count), BURST):
                calls = []
                for number in range(start, start + BURST):
                    call = table.put(number, content(number), durability=durability)
                    face.when_done(call, lambda number=number: acknowledge(number))
                    calls.append(call)
                await face.gather(calls)

    face.run(traffic)


if __name__ == "__main__":
    main(*sys.argv[1:])
