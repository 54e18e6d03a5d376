# SPDX-License-Identifier: MIT
"""Check a database: its catalogue, that every record can be read, and that indexes say what their tables say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zlmdb.codecs import value_codec
from zlmdb.errors import ConfigError, DecodeError, WrongType, described, text_of
from zlmdb.orm import catalogue
from zlmdb.orm.agreement import Agreement
from zlmdb.orm.findings import Findings, Problem
from zlmdb.orm.map import Map
from zlmdb.orm.sets import SetMap
from zlmdb.orm.stored import as_map, tables, used_slots
from zlmdb.storage import Transaction, scan

if TYPE_CHECKING:
    from zlmdb.orm.database import Database

_CATALOGUE: Final = "catalogue"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. ``str(report)`` says it all, one line for each problem."""

    problems: list[Problem]
    """The first problems, in the order catalogue, records, indexes; after a repair, those that remain."""
    found: int
    """How many problems there are, listed or not."""
    records: dict[str, int]
    """Records read, by title: the catalogue, each table, each index."""
    unlisted_slots: list[int]
    """Slots that hold records and have no entry in the catalogue; no fault, as fixed slots need none."""
    unread_slots: list[int]
    """Where all was to be checked, the slots whose records were not read: nothing says of what kind they are."""
    repaired: dict[str, tuple[int, int]]
    """Index records (deleted, written) by a repair, for each index that was changed."""

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.found

    def __str__(self) -> str:
        """Return the problems and what was done, one line each."""
        lines = [str(problem) for problem in self.problems]
        if self.found > len(lines):
            lines.append(f"{self.found - len(lines)} more problems")
        for title, (deleted, written) in self.repaired.items():
            lines.append(f"{title}: repaired, {deleted} entries deleted, {written} written")
        if self.unlisted_slots:
            lines.append(f"slots that hold records and are in no catalogue entry: {self.unlisted_slots}")
        if self.unread_slots:
            lines.append(f"slots that were not read, because no map of them was given: {self.unread_slots}")
        return "\n".join([*lines, f"{sum(self.records.values())} records read, {self.found or 'no'} problems"])


def check(db: Database, *maps_or_schemas: Any, repair: bool = False, limit: int = 1000) -> Report:
    """Check the catalogue, and the records and indexes of the attached maps (or schemas) given; without any, of all.

    All are the tables that were attached through this handle and are still in use, with their indexes, and those of
    which the catalogue says how to read them. FlatBuffers and pickles of the latter are not decoded.
    Reads one snapshot, in bounded memory: at most ``limit`` problems are listed, the others are counted.
    A map that is an index is checked with its table. ``repair`` then makes the indexes that disagree agree,
    in one write transaction: all or nothing. It deletes no row, and no index record of a row that cannot be
    read; two rows that claim one unique key stay as they are, and stay reported.

    Blocks as long as it reads, so not on an event loop's thread; while it runs, the file grows with what
    is written meanwhile. Raises `NotAttached`, `WrongDatabase`, `WrongType`, and with ``repair`` what
    beginning and committing a write transaction raise.
    """
    if type(limit) is not int or limit < 0:
        raise ConfigError("not a limit", where="check", got=limit, expected="an int >= 0")
    tables = _tables(maps_or_schemas) if maps_or_schemas else _once_each(_tables(db.attached_maps()))
    findings, records, unread = Findings(limit), dict[str, int](), list[int]()
    with db.begin() as txn:
        if not maps_or_schemas:
            others, unread = _others(tables, txn)
            tables += others
        for table in tables:
            table.check(txn)
        unlisted = _check_catalogue(txn, findings, records)
        done = [_check_table(table, txn, findings, records) for table in tables]
    agreements = [agreement for each in done for agreement in each]
    if repair and any(agreement.mendable for agreement in agreements):
        agreements = _mend(db, agreements, limit)
    for agreement in agreements:
        findings.extend(agreement.findings)
    repaired = {each.index.title: (each.deleted, each.written) for each in agreements if each.deleted or each.written}
    return Report(findings.problems, findings.total, records, unlisted, unread, repaired)


def _others(known: list[Map[Any, Any]], txn: Transaction) -> tuple[list[Map[Any, Any]], list[int]]:
    """Return maps of the tables that are neither ``known`` nor their indexes, and the slots that have no map."""
    indexes = [index.map for table in known for index in table._indexes.values()]
    covered = {map_.slot for map_ in (*known, *indexes)}
    made = {table.slot: as_map(table, txn.environment) for table in tables(txn) if table.slot not in covered}
    return [map_ for map_ in made.values() if map_ is not None], [slot for slot, map_ in made.items() if map_ is None]


def _once_each(tables: list[Map[Any, Any]]) -> list[Map[Any, Any]]:
    """Leave out maps that add nothing to others of their slot: a schema may be attached several times."""
    kept: list[Map[Any, Any]] = []
    seen: set[tuple[int | None, int | None]] = set()
    for table in sorted(tables, key=lambda table: -len(table._indexes)):
        has = {(table.slot, index.map.slot) for index in table._indexes.values()} or {(table.slot, None)}
        if not has <= seen:
            kept.append(table)
            seen |= has | {(table.slot, None)}
    return sorted(kept, key=lambda table: table.slot or 0)


def _tables(maps_or_schemas: Iterable[Any]) -> list[Map[Any, Any]]:
    found: dict[int, Map[Any, Any]] = {}
    for given in maps_or_schemas:
        for map_ in _maps(given):
            table: Any = map_ if map_._index_attached_to is None else map_._index_attached_to
            found[id(table)] = table
    return list(found.values())


def _maps(given: Any) -> list[Map[Any, Any]]:
    if isinstance(given, Map):
        return [given]
    held = [value for value in getattr(given, "__dict__", {}).values() if isinstance(value, Map)]
    if not held or isinstance(given, type):
        raise WrongType(
            "neither a map nor a schema that holds maps",
            where="check",
            got=given,
            expected="maps or schemas",
            next_step="attach it, and give what db.attach(…) or db.attach_table(…) returned",
        )
    return held


# --- the catalogue -----------------------------------------------------------------------------------


def _check_catalogue(txn: Transaction, findings: Findings, records: dict[str, int]) -> list[int]:
    """Check the entries; return the slots that hold records and are in none."""
    verify = value_codec("Cbor").verify
    named: set[int] = set()
    slots: dict[UUID, int] = {}
    records[_CATALOGUE] = 0
    for raw, data in catalogue.records(txn):
        records[_CATALOGUE] += 1
        named.add(int.from_bytes(raw[2:4], "big"))
        try:
            entry = catalogue.decode(raw, data)
            if verify is not None:
                verify(data)
        except DecodeError as exc:
            findings.add(Problem(_CATALOGUE, _CATALOGUE, 0, raw[2:], _told(exc)))
            continue
        first = slots.setdefault(entry.oid, entry.slot)
        if first != entry.slot:
            what = f"the table {entry.oid} has slot {first} already"
            findings.add(Problem("duplicate table", _CATALOGUE, 0, entry.slot, what))

    def no_slot(raw: bytes) -> None:
        findings.add(Problem("no slot", "the file", 0, raw, "the key is too short to begin with a slot"))

    return [slot for slot in used_slots(txn, no_slot) if slot not in named]


# --- records and indexes -----------------------------------------------------------------------------


def _check_table(
    table: Map[Any, Any], txn: Transaction, findings: Findings, records: dict[str, int]
) -> list[Agreement]:
    agreements = [Agreement(index, txn, findings.limit) for index in table._indexes.values()]
    records[table.title] = _compare(table, txn, findings, agreements)
    for agreement in agreements:
        records[agreement.index.title] = agreement.check_entries()
    return agreements


def _mend(db: Database, agreements: list[Agreement], limit: int) -> list[Agreement]:
    """Bring the indexes that disagree into agreement, and return what is to be reported instead."""
    result: list[Agreement] = []
    with db.begin(write=True) as txn:
        for table in {id(each.index.table): each.index.table for each in agreements}.values():
            own = [each for each in agreements if each.index.table is table]
            again = [Agreement(each.index, txn, limit, mend=True) if each.mendable else each for each in own]
            mending = [each for each in again if each not in own]
            if mending:
                _compare(table, txn, Findings(0), mending)  # what is wrong with the rows themselves is known
            for agreement in mending:
                agreement.check_entries()
            result += again
    return result


def _compare(table: Map[Any, Any], txn: Transaction, findings: Findings, agreements: list[Agreement]) -> int:
    """Read the whole table and compare each row with its index records; return the number of rows."""
    count = 0
    for raws, datas in scan(table.ordered(txn), *table.bounds(txn, None, None, None)):
        for raw, data in zip(raws, datas, strict=True):
            count += 1
            if isinstance(table, SetMap):
                _check_member(table, raw, data, findings)
            elif row := _read_record(table, raw, data, findings):
                for agreement in agreements:
                    agreement.check_row(*row)
    return count


def _read_record(table: Map[Any, Any], raw: bytes, data: bytes, findings: Findings) -> tuple[Any, Any] | None:
    def problem(kind: str, key: Any, exc: Exception) -> None:
        findings.add(Problem(kind, table.title, table.slot or 0, key, _told(exc)))

    try:
        key = table.key_codec.decode(raw[2:])
    except Exception as exc:  # noqa: BLE001  a codec of the application's own may raise anything
        problem("undecodable key", raw[2:], exc)
        key = None
    try:
        value = table.from_raw(raw, data)
    except DecodeError as exc:
        problem("undecodable value", raw[2:] if key is None else key, exc)
        return None
    verify = table.value_codec.verify
    try:
        if verify is not None:
            verify(data)
    except Exception as exc:  # noqa: BLE001  as above
        problem("trailing bytes", raw[2:] if key is None else key, exc)
    return None if key is None else (key, value)


def _check_member(table: SetMap[Any, Any], raw: bytes, data: bytes, findings: Findings) -> None:
    try:
        key = table.split(raw)
    except DecodeError as exc:
        findings.add(Problem("undecodable key", table.title, table.slot or 0, raw[2:], _told(exc)))
        return
    if data:
        what = f"a member of a set has {len(data)} bytes of data, and none are written"
        findings.add(Problem("undecodable value", table.title, table.slot or 0, key, what))


def _told(exc: Exception) -> str:
    if not isinstance(exc, DecodeError):
        return described(exc)
    return f"{exc.what}: {text_of(exc.__cause__)}" if exc.__cause__ is not None else exc.what
