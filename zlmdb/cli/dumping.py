# SPDX-License-Identifier: MIT
"""``zlmdb dump`` and ``zlmdb load``: records as lines of JSON, or raw as LMDB's own ``mdb_dump`` writes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

import click

from zlmdb.cli import rawdump
from zlmdb.cli.app import (
    Command,
    lib_version_type,
    no_lock_option,
    path_argument,
    reading,
    target_argument,
)
from zlmdb.cli.plain import to_json
from zlmdb.cli.tables import chosen
from zlmdb.orm import Database, Map, SetMap
from zlmdb.orm.stored import Table, as_map, tables
from zlmdb.storage import KeyTooLong, LibVersion, Transaction, scan
from zlmdb.storage.staging import staged

_SLICE: Final = 8 << 20  # bytes of keys and values for each transaction that loads


@click.command(cls=Command, short_help="Print records as JSON lines, or raw.")
@path_argument
@click.option("--table", help="Only this table: its name, slot or UUID.")
@click.option("--kind", help="What the table holds, such as MapUuidCbor, where the catalogue does not say.")
@click.option(
    "--json/--raw", "as_json", default=True, help="A line of JSON for each record (default), or all as mdb_dump."
)
@no_lock_option
def dump(path: str, table: str | None, kind: str | None, as_json: bool, no_lock: bool) -> None:
    """Print the records of the database at PATH, one JSON object on each line.

    `slot` and `table` say whose, `key` and `value` (`member`, in a set) what. Bytes and what only the program can
    read are `{"hex": …}`. A record that cannot be decoded is printed with `error`, and makes the exit code 1.

    --raw prints the whole database, catalogue too, in the format of LMDB's mdb_dump, for `zlmdb load` or mdb_load.
    """
    if (kind and not table) or (table and not as_json):
        raise click.UsageError("--kind needs --table" if kind else "--raw prints the whole database, not one table")
    out = sys.stdout
    with reading(path, no_lock) as db, db.begin() as txn:
        if not as_json:
            out.writelines(rawdump.lines(txn, db.stats()))
            return
        found = [chosen(tables(txn), table)] if table else tables(txn)
        failed = sum(_dump_table(out, each, as_map(each, db.environment, kind), txn) for each in found)
    if failed:
        out.flush()
        click.echo(f"error: {failed} records could not be decoded", err=True)
        raise click.exceptions.Exit(1)


def _dump_table(out: IO[str], table: Table, map_: Map[Any, Any] | None, txn: Transaction) -> int:
    """Print the records of a table; return how many could not be decoded."""
    failed = 0
    head = f'{{"slot": {table.slot}, "table": {to_json(table.name)}, '
    for raws, datas in scan(txn, *table.bounds):
        for raw, data in zip(raws, datas, strict=True):
            try:
                fields = to_json(_fields(map_, raw, data))
            except Exception as exc:  # noqa: BLE001  codecs of damaged records raise what they like
                failed += 1
                fields = to_json({**_fields(None, raw, data), "error": str(exc)})
            out.write(f"{head}{fields[1:]}\n")
    return failed


def _fields(map_: Map[Any, Any] | None, raw: bytes, data: bytes) -> dict[str, Any]:
    if map_ is None:
        return {"key": raw[2:], "value": data}
    if isinstance(map_, SetMap):
        key, member = map_.split(raw)
        return {"key": key, "member": member}
    return {"key": map_.key_codec.decode(raw[2:]), "value": map_.from_raw(raw, data)}


@click.command(cls=Command, short_help="Make a database of a raw dump.")
@target_argument
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--to", "lib_version", type=lib_version_type, default="1.0", show_default=True, help="The LMDB format.")
def load(target: str, file: IO[bytes], lib_version: LibVersion) -> None:
    """Make the new database TARGET of what `zlmdb dump --raw` or mdb_dump printed to FILE (default: stdin).

    TARGET appears when all of it is read and on disk.
    """
    with staged(target) as directory, Database(directory, lock=False, sync=False, lib_version=lib_version) as db:
        records = sum(_store(db, rows) for rows in _slices(rawdump.records(file)))
        db.sync(force=True)
    click.echo(f"{target}: {records} records, format {lib_version}")


def _slices(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    slice_: list[tuple[bytes, bytes]] = []
    size = 0
    for key, data in rows:
        slice_.append((key, data))
        size += len(key) + len(data)
        if size >= _SLICE:
            yield slice_
            slice_, size = [], 0
    yield slice_


def _store(db: Database, rows: list[tuple[bytes, bytes]]) -> int:
    with db.begin(write=True) as txn:
        for key, data in rows:
            if len(key) > db.max_key_size:
                raise _too_long(key, db.max_key_size)
            txn.put(key, data)
    return len(rows)


def _too_long(key: bytes, limit: int) -> KeyTooLong:
    return KeyTooLong(
        "a key of the dump is too long for the format of the new database",
        where=f"the key that begins with {key[:16].hex()}",
        got=f"{len(key)} bytes",
        expected=f"at most {limit} bytes",
        next_step="load it with --to 1.0, which has the longer keys",
        size=len(key),
        limit=limit,
    )
