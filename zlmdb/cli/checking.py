# SPDX-License-Identifier: MIT
"""``zlmdb check``: the pages, the catalogue and the records of a database, and with a schema its indexes."""

from __future__ import annotations

import pkgutil
import sys
from dataclasses import asdict, replace
from typing import Any

import click

from zlmdb import Database
from zlmdb.cli.app import Command, json_option, no_lock_option, path_argument, print_json, printable, reading
from zlmdb.cli.plain import plain
from zlmdb.errors import ConfigError, described
from zlmdb.orm.check import Report
from zlmdb.orm.stored import Table, tables
from zlmdb.storage.pages import damaged_pages


@click.command(cls=Command, short_help="Check pages, catalogue, records, indexes.")
@path_argument
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    metavar="MODULE:CLASS",
    help="Check the indexes of this schema too, and read its tables as it does; may be given again.",
)
@click.option("--repair", is_flag=True, help="Make the indexes of the schemas agree with their tables, all or nothing.")
@click.option(
    "--limit", type=click.IntRange(0), default=1000, show_default=True, help="Problems to list; all are counted."
)
@no_lock_option
@json_option
def check(path: str, schemas: tuple[str, ...], repair: bool, limit: int, no_lock: bool, as_json: bool) -> None:
    """Check the pages, the catalogue and the records of the database at PATH; exit with 1 if anything is wrong.

    Records are decoded as the catalogue says. Tables of which it has no kind, as those of the published zlmdb, are
    not read, and no index is compared with its table, unless --schema says how. Nothing is written without
    --repair, which deletes no row.
    """
    if repair and (not schemas or no_lock):
        raise click.UsageError("--repair needs --schema, and locks: which rows an index is to have, that alone knows")
    classes = [_imported(reference) for reference in schemas]
    report, unread = _checked(path, no_lock, classes, limit, as_json)
    if repair and not report.ok:
        repaired = _repair(path, classes)
        report, unread = _checked(path, no_lock, classes, limit, as_json)
        report = replace(report, repaired=repaired)
    _tell(report, unread, as_json)
    if not report.ok:
        raise click.exceptions.Exit(1)


def _imported(reference: str) -> Any:
    sys.path.append("")  # the program's own modules, where it is not installed; last, to hide nothing
    try:
        return pkgutil.resolve_name(reference)
    except Exception as exc:
        raise ConfigError(
            f"the schema cannot be imported: {described(exc)}",
            where="--schema",
            got=reference,
            expected="module:Class, of a module that can be imported from here",
        ) from exc
    finally:
        sys.path.remove("")


def _checked(path: str, no_lock: bool, classes: list[Any], limit: int, as_json: bool) -> tuple[Report, list[Table]]:
    """Check what the schemas hold as they read it, all other tables as the catalogue says."""
    if pages := damaged_pages(path, lock=not no_lock):
        _tell_pages(pages, limit, as_json)
        raise click.exceptions.Exit(1)
    with reading(path, no_lock) as db:
        attached = [db.attach(each) for each in classes]  # kept: what nobody keeps is read as the catalogue says
        report = db.check(limit=limit)
        with db.begin() as txn:
            unread = [table for table in tables(txn) if table.slot in report.unread_slots]
        del attached
    return report, unread


def _repair(path: str, classes: list[Any]) -> dict[str, tuple[int, int]]:
    with Database(path, create=False) as db:
        return db.check(*(db.attach(each) for each in classes), repair=True).repaired


def _tell_pages(pages: tuple[str, ...], limit: int, as_json: bool) -> None:
    if as_json:
        print_json({"ok": False, "found": len(pages), "pages": pages[:limit]})
        return
    for line in pages[:limit]:
        click.echo(printable(line))
    click.echo(f"{len(pages)} problems in the pages of the file, so that no record was read; restore it from a backup")


def _tell(report: Report, unread: list[Table], as_json: bool) -> None:
    if as_json:
        print_json({"ok": report.ok, **plain(asdict(report)), "pages": []})
        return
    for line in str(replace(report, unread_slots=[])).splitlines():  # which are told below, with what is known of them
        click.echo(printable(line))
    for table in unread:
        click.echo(f"slot {table.slot} ({printable(table.name or 'no name')}) not read: kind {table.kind or 'unknown'}")
