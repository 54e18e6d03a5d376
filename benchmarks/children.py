# SPDX-License-Identifier: MIT
"""What is measured in a process of its own, for the costs.

``python -m benchmarks.children open DIRECTORY CONTESTANT [FOLDER]``, ``… fill DIRECTORY RECORDS`` and
``… scan DIRECTORY RECORDS`` print one number. FOLDER is where the existing `zlmdb` is installed.
"""

from __future__ import annotations

import sys
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

TABLES: Final = 60
_KINDS: Final = ("MapUuidCbor", "MapStringUuid", "MapUuidStringUuid", "MapUuidUuidCbor", "MapBytes20Uuid")
_PORTION: Final = 100_000  # records of a transaction
_SAMPLES: Final = 100  # of the memory in use, during each scan
_RECORD: Final = {"name": "a record of average size", "number": 1 << 40, "tags": ["one", "two"], "valid": True}


def opened(directory: str, contestant: str, folder: str = "") -> float:
    """Return the milliseconds to open a database and its 60 tables, which are new if the directory is empty."""
    if contestant == "by hand":
        return _opened_by_hand(directory)
    if folder:
        sys.path.insert(0, folder)
    import zlmdb

    package: Any = zlmdb
    tables = [_declared(package, number) for number in range(TABLES)]
    began = time.perf_counter()
    with package.Database(directory, maxsize=1 << 30) as db:
        for table in tables:
            db.attach_table(table)
        return (time.perf_counter() - began) * 1000


def _declared(package: Any, number: int) -> Any:
    kind = _KINDS[number % len(_KINDS)]
    functions = {"marshal": dict, "parse": dict} if kind.endswith("Cbor") else {}  # the existing package needs them
    declared = types.new_class(f"Table{number}", (getattr(package, kind),))
    return package.table(str(UUID(int=number + 1)), **functions)(declared)


def _opened_by_hand(directory: str) -> float:
    import lmdb

    began = time.perf_counter()
    env = lmdb.open(directory, map_size=1 << 30, max_dbs=TABLES)
    for number in range(TABLES):
        env.open_db(f"table{number}".encode())
    return (time.perf_counter() - began) * 1000


def filled(directory: str, records: int) -> int:
    """Fill a table, in a process of its own: the memory that this leaves free would hide what a scan adds."""
    import numpy as np

    import zlmdb

    events = zlmdb.MapTimestampUuidCbor(1)
    first = np.datetime64("2026-01-01", "ns")
    with zlmdb.Database(directory, maxsize=1 << 40, sync=False) as db:
        for start in range(0, records, _PORTION):
            with db.begin(write=True) as txn:
                for number in range(start, min(start + _PORTION, records)):
                    events[txn, (first + np.timedelta64(number, "ms"), UUID(int=number))] = _RECORD
    return records


def scanned(directory: str, records: int) -> float:
    """Return the MiB of anonymous memory (pages of the file do not count) that scans add at their height.

    Both ways, then keys and values alone. What a first short scan sets up, such as NumPy, is not counted.
    """
    scans = _scans(directory)
    warm, step = next(scans), max(1, records // _SAMPLES)
    deque((row for _, row in zip(range(1000), warm(), strict=False)), maxlen=0)
    before = height = _anonymous()
    for scan in scans:
        number = 0
        for number, _ in enumerate(scan(), 1):
            if number % step == 0:
                height = max(height, _anonymous())
        if number != records:
            raise RuntimeError(f"{number} of {records} records")
    return (height - before) / 1024


def _scans(directory: str) -> Iterator[Callable[[], Iterator[Any]]]:
    """Give each scan as a function, the first one twice."""
    import zlmdb

    events = zlmdb.MapTimestampUuidCbor(1)
    with zlmdb.Database(directory, readonly=True) as db, db.begin() as txn:
        yield lambda: events.select(txn)
        yield lambda: events.select(txn)
        yield lambda: events.select(txn, reverse=True)
        yield lambda: events.select(txn, return_values=False)
        yield lambda: events.select(txn, return_keys=False)


def _anonymous() -> int:
    """Return the KiB of anonymous memory in use."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise RuntimeError("the system does not tell the anonymous memory of a process")


def main(task: str, directory: str, *arguments: str) -> None:
    """Print what the task returns."""
    if task == "open":
        print(opened(directory, *arguments))
    else:
        print({"fill": filled, "scan": scanned}[task](directory, int(*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
