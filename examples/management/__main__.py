# SPDX-License-Identifier: MIT
"""Run it: ``python -m examples.management``, with ``--help`` for what else it does."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from uuid import UUID

import numpy as np

import zlmdb
from examples.management.administration import Administration, Refused, dangling
from examples.management.sample import fill
from examples.management.schema import FOREIGN_KEYS, Management, area


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 if all is well, 1 if something was refused or found."""
    options = _options(arguments)
    try:
        options.data.parent.mkdir(parents=True, exist_ok=True)
        with zlmdb.Database(options.data) as db:
            tables = db.attach(Management)
            with db.begin(write=True) as txn:
                if not tables.organisations.count(txn):
                    fill(Administration(txn, tables, "sample", time.time_ns()), time.time_ns())
            return _run(db, tables, options)
    except (Refused, zlmdb.ZlmdbError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1


def _run(db: zlmdb.Database, tables: Management, options: argparse.Namespace) -> int:
    match options.command:
        case "remove":
            with db.begin(write=True) as txn:
                admin = Administration(txn, tables, options.actor, time.time_ns())
                removed = admin.remove(options.table, options.oid)
            print(f"removed: {removed} records")
        case "verify":
            return _verify(db, tables)
        case "log":
            _log(db, tables)
        case _:
            _list(db, tables)
    return 0


def _list(db: zlmdb.Database, tables: Management) -> None:
    print(f"{'area':23}{'slot':>5}  {'table':30}{'kind':34}{'records':>9}")
    with db.begin() as txn:
        for name, map_ in sorted(tables.maps().items(), key=lambda item: item[1].slot or 0):
            slot = map_.slot or 0
            record = f"[{map_.record.__name__}]" if map_.record else ""
            print(f"{area(slot):23}{slot:5}  {name:30}{type(map_).__name__ + record:34}{map_.count(txn):9,}")


def _log(db: zlmdb.Database, tables: Management) -> None:
    with db.begin() as txn:
        for (at, oid), entry in tables.audit_log.select(txn, reverse=True, limit=20):
            when = np.datetime_as_string(at, "s")
            print(f"{when}  {entry.actor:12}{entry.action:8}{entry.table:16}{oid}")


def _verify(db: zlmdb.Database, tables: Management) -> int:
    problems = [str(problem) for problem in db.check(tables).problems]
    with db.begin() as txn:
        problems += dangling(txn, tables)
    for problem in problems:
        print(problem)
    print(f"{len(tables.maps())} tables, {len(FOREIGN_KEYS)} foreign keys, {len(problems)} problems")
    return 1 if problems else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.management", description="A management service.")
    parser.add_argument("--data", type=Path, default=Path("build/management.db"), help="made if it is not there")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("tables", help="all tables with slot, kind and number of records (without a command, too)")
    commands.add_parser("log", help="the last 20 entries of the audit log")
    commands.add_parser("verify", help="read everything, compare indexes with tables, follow all foreign keys")
    remove = commands.add_parser("remove", help="remove a record, and all that belongs to it")
    remove.add_argument("table", choices=sorted({name for key in FOREIGN_KEYS for name in (key.table, key.target)}))
    remove.add_argument("oid", type=UUID)
    remove.add_argument("--actor", default="operator", help="who it is, for the log")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
