# SPDX-License-Identifier: MIT
"""The commands that copy a database: ``backup``, ``convert`` and ``compact``."""

from __future__ import annotations

import click

from zlmdb import Database
from zlmdb.cli.app import (
    Command,
    json_option,
    lib_version_type,
    path_argument,
    print_json,
    printable,
    reading,
    target_argument,
)
from zlmdb.orm.retired import OldLayoutSlot
from zlmdb.storage import LibVersion
from zlmdb.storage.compacting import compact as compact_file
from zlmdb.storage.copying import convert as convert_file


@click.command(cls=Command, short_help="Copy a database while it is in use.")
@path_argument
@target_argument
@click.option("--no-compact", is_flag=True, help="Copy free pages too: faster, and larger.")
@json_option
def backup(path: str, target: str, no_compact: bool, as_json: bool) -> None:
    """Copy the database at PATH to the new directory TARGET, while it is in use.

    The copy is one snapshot, checked page by page and on disk before it appears under its name.
    """
    with reading(path) as db:
        size = db.backup(target, compact=not no_compact)
    _report({"target": target, "bytes": size}, f"{target}: {size} bytes", as_json)


@click.command(cls=Command, short_help="Copy a database to another LMDB format.")
@path_argument
@target_argument
@click.option("--to", type=lib_version_type, required=True, help="The LMDB format of the copy.")
@json_option
def convert(path: str, target: str, to: LibVersion, as_json: bool) -> None:
    """Copy the database at PATH to the new directory TARGET in another LMDB format.

    0.9 is read by older tools and has keys of up to 511 bytes, 1.0 of up to 1978. The copy is one snapshot,
    compared with its source before it appears; PATH may be in use.
    """
    records = convert_file(path, target, to)
    _report({"target": target, "format": to, "records": records}, f"{target}: {records} records, format {to}", as_json)


@click.command(cls=Command, short_help="Give free pages back to the disk.")
@path_argument
@click.option(
    "--old-layouts",
    type=click.Choice(["drop", "keep", "force"]),
    default="drop",
    show_default=True,
    help="Delete what upgraded tables have left behind, unless an old program has written there since; keep it; or"
    " delete it all the same.",
)
@json_option
def compact(path: str, old_layouts: str, as_json: bool) -> None:
    """Give free pages of the database at PATH back to the file system.

    Needs the database for itself, and room for a second copy; programs that open it meanwhile wait. The old
    layouts of upgraded tables go too: the programs that wrote them cannot use the file afterwards.
    """
    dropped: list[OldLayoutSlot] = []

    def drop() -> None:
        with Database(path, create=False, lock=False) as db:
            dropped.extend(db.drop_old_layouts(force=old_layouts == "force"))

    before, after = compact_file(path, None if old_layouts == "keep" else drop)
    gone = [
        {"slot": each.slot, "table": str(each.table), "name": each.name, "records": each.records} for each in dropped
    ]
    text = "".join(f"slot {each.slot} ({each.name}): {each.records} old records deleted\n" for each in dropped)
    text += f"{path}: {before} bytes before, {after} after"
    _report({"before": before, "after": after, "dropped": gone}, text, as_json)


def _report(facts: dict[str, object], text: str, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        click.echo("\n".join(map(printable, text.split("\n"))))
