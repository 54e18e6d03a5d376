# SPDX-License-Identifier: MIT
"""The commands that tell what a database is: ``info``, ``stats``, ``readers`` and ``version``."""

from __future__ import annotations

import os
import platform
from typing import Any

import click

import zlmdb
from zlmdb import Database, Transaction
from zlmdb.cli.app import (
    Command,
    json_option,
    lib_version_type,
    no_lock_option,
    path_argument,
    print_facts,
    print_json,
    print_table,
    reading,
)
from zlmdb.orm.stored import Table, tables
from zlmdb.storage import LibVersion, count, data_file, engine_version, scan


@click.command(cls=Command, short_help="Show format, sizes and tables.")
@path_argument
@click.option(
    "--lib-version", type=lib_version_type, help="Require this LMDB format; exit with 1 if the database has the other."
)
@no_lock_option
@json_option
def info(path: str, lib_version: LibVersion | None, no_lock: bool, as_json: bool) -> None:
    """Show format, LMDB version, sizes and tables of the database at PATH.

    The database is opened read-only, and nothing is created. `used` and `current_size` are bytes, `free` is a
    part of `max_size`. Counting the records walks over all of them.
    """
    with reading(path, no_lock, lib_version) as db, db.begin() as txn:
        facts = db.stats()
        listed = [{**_identity(table), "records": count(txn, *table.bounds)} for table in tables(txn)]
    if as_json:
        print_json({**facts, "tables": listed})
        return
    print_facts(facts)
    click.echo()
    print_table(
        ["slot", "records", "kind", "name"],
        [[row[key] for key in ("slot", "records", "kind", "name")] for row in listed],
    )


def _identity(table: Table) -> dict[str, Any]:
    return {
        "slot": table.slot,
        "oid": str(table.entry.oid) if table.entry else None,
        "name": table.name,
        "kind": table.kind,
    }


@click.command(cls=Command, short_help="Show where the bytes are.")
@path_argument
@no_lock_option
@json_option
def stats(path: str, no_lock: bool, as_json: bool) -> None:
    """Show where the bytes of the database at PATH are; reads all of it.

    `file` is the size of the file, `allocated` what it takes of the disk, `used` the pages that hold records,
    `reusable` the others, which `zlmdb compact` gives back; for each table the bytes of its keys and values.
    """
    with reading(path, no_lock) as db, db.begin() as txn:
        facts = _sizes(db)
        listed = [{**_identity(table), **_contents(txn, table)} for table in tables(txn)]
    if as_json:
        print_json({**facts, "tables": listed})
        return
    print_facts(facts)
    click.echo()
    columns = ["slot", "records", "key_bytes", "value_bytes", "largest_value", "name"]
    print_table(columns, [[row[column] for column in columns] for row in listed])


def _sizes(db: Database) -> dict[str, Any]:
    engine = db.stats()
    status = data_file(db.dbpath).stat()
    return {
        "format": engine["lib_version"],
        "file": status.st_size,
        "allocated": status.st_blocks * 512,
        "used": engine["used"],
        "reusable": (engine["last_pgno"] + 1) * engine["psize"] - engine["used"],
        "page_size": engine["psize"],
        "depth": engine["depth"],
        "entries": engine["entries"],
        "last_txnid": engine["last_txnid"],
        "readers": engine["num_readers"],
        "max_readers": engine["max_readers"],
    }


def _contents(txn: Transaction, table: Table) -> dict[str, int]:
    records = key_bytes = value_bytes = largest = 0
    for raws, datas in scan(txn, *table.bounds):
        records += len(raws)
        key_bytes += sum(map(len, raws))
        sizes = list(map(len, datas))
        value_bytes += sum(sizes)
        largest = max(largest, *sizes)
    return {"records": records, "key_bytes": key_bytes, "value_bytes": value_bytes, "largest_value": largest}


@click.command(cls=Command, short_help="List who reads a database.")
@path_argument
@click.option("--clear", is_flag=True, help="First clear the slots of processes that are gone.")
@json_option
def readers(path: str, clear: bool, as_json: bool) -> None:
    """List who reads the database at PATH, of all processes but this one.

    A slot is kept by each thread that has read. While a transaction runs in it, `txnid` is the one whose
    state it sees, and `behind` counts the commits since; pages freed by these cannot be used again.
    """
    with reading(path) as db:
        cleared = db.clear_dead_readers() if clear else 0
        last = db.environment.stat()["last_txnid"]
        rows = [
            {**reader._asdict(), "behind": None if reader.txnid is None else last - reader.txnid}
            for reader in db.readers()
            if reader.pid != os.getpid()
        ]
    if as_json:
        print_json({"cleared": cleared, "last_txnid": last, "readers": rows})
        return
    if clear:
        click.echo(f"cleared: {cleared}")
    print_table(["pid", "thread", "txnid", "behind"], [list(row.values()) for row in rows])


@click.command(cls=Command, short_help="Show versions.")
@json_option
def version(as_json: bool) -> None:
    """Show the versions of this package, of Python and of LMDB for either format."""
    facts = {
        "zlmdb": zlmdb.__version__,
        "python": platform.python_version(),
        "lmdb 0.9": engine_version("0.9"),
        "lmdb 1.0": engine_version("1.0"),
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)
