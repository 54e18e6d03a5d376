# SPDX-License-Identifier: MIT
"""Indexes: maps from a function of the value back to the key, unique or set-valued, kept by every write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zlmdb.errors import DataError, NullViolation, SchemaError, TableDeclaration, UniqueViolation
from zlmdb.storage import KEEP, Transaction, scan

if TYPE_CHECKING:
    from zlmdb.orm.map import Map

Entry = tuple[bytes, bytes]
"""An index record: raw key and data."""
_NEVER_NULL: Final = frozenset({str, bytes, int, UUID})


class Index:
    """One index of a table. ``stale`` counts records of older programs that were found wrong and replaced."""

    def __init__(
        self,
        name: str,
        table: Map[Any, Any],
        map_: Map[Any, Any],
        fkey: Callable[[Any], Any],
        nullable: bool,
        unique: bool,
    ) -> None:
        self.name = name
        self.table = table
        self.map = map_
        self.fkey = fkey
        self.nullable = nullable
        self.unique = unique
        self.stale = 0
        self.holds_raw_keys = unique and map_.value_codec.encode is table.key_codec.encode
        """Whether the data of an index record are the bytes of the owner's key."""

    @property
    def title(self) -> str:
        """The index's name and its table, for messages."""
        return f"index {self.name!r} of {self.table.title}"

    def owner(self, raw: bytes, data: bytes) -> Any:
        """Return the owner's key in an index record of a unique index."""
        key = self.map.from_raw(raw, data)
        return tuple(key) if type(key) is list else key  # documents know no tuples

    def entry(self, raw: bytes, key: Any, value: Any) -> Entry | None:
        """Return the index record of a table's record with its ``raw`` key, or None for a null.

        Raises `NullViolation` where nulls are refused, and what ``fkey`` raises.
        """
        try:
            indexed = self.fkey(value)
        except Exception as exc:
            exc.add_note(f"raised by the function of {self.title}")
            raise
        if self.holds_raw_keys and indexed.__class__ in _NEVER_NULL:
            try:
                return self.map._prefix + self.map._encode_key(indexed), raw[2:]
            except Exception:  # noqa: BLE001, S110  done again below, where errors name the map
                pass
        if indexed is None or (isinstance(indexed, (tuple, list)) and None in indexed):
            if self.nullable:
                return None
            raise NullViolation(
                "the index does not take nulls",
                where=self.title,
                got=indexed,
                expected="a key without None",
                next_step="fill the field, or attach the index with nullable=True",
                index=self.name,
            )
        try:
            return self._entry(indexed, key)
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__

    def _entry(self, indexed: Any, key: Any) -> Entry:
        if self.unique:
            return self.map.raw_key(indexed), self.map.raw_value(key)
        return self.map.raw_member(indexed, key), b""  # type: ignore[attr-defined]  # set-valued by `attach`

    def raw_unique(self, txn: Transaction, key: Any) -> bytes:
        """Return the raw key of the index record for ``key``; raise `SchemaError` if the index is not unique."""
        if not self.unique:
            raise SchemaError(
                "the index may have several owners for a key",
                where=self.title,
                got=key,
                expected="a unique index",
                next_step="iterate over the owners: index_map[txn, key]",
            )
        map_ = self.map
        map_.check(txn)
        return map_.raw_key(key)

    def claim(self, txn: Transaction, entry: Entry) -> bool:
        """Write the index record; return False if it was there already.

        Raises `UniqueViolation` if another record owns the key and still yields it.
        """
        return txn.store(*entry, *KEEP) or self.take_over(txn, entry) is not None

    def take_over(self, txn: Transaction, entry: Entry) -> bytes | None:
        """Make an index record that is there the owner's; return the stale owner, None if it was the same.

        Raises `UniqueViolation` if another record owns the key and still yields it.
        """
        raw, owner = entry
        present = bytes(txn.fetch(raw))
        if present == owner:
            return None
        if not self._is_stale(txn, raw, present):
            raise self._violation(raw, present)
        self.stale += 1
        txn.store(raw, owner)
        return present

    def release(self, txn: Transaction, entry: Entry) -> None:
        """Delete the index record if it is this owner's."""
        raw, owner = entry
        if not self.unique:
            txn.erase(raw)
            return
        present = txn.fetch(raw)
        if present is not None and bytes(present) == owner:
            txn.erase(raw)

    def owned_by(self, txn: Transaction, rows: Iterable[bytes]) -> list[bytes]:
        """Return the raw keys of all index records of the table's records with these raw keys.

        Looks through the whole index: for records that do not tell any more what they were indexed under.
        """
        owners: set[Any] = set()
        for row in rows:
            with suppress(DataError):  # no index record can name a key that cannot be read
                key = self.table.key_codec.decode(row[2:])
                owners.add(bytes(self.map.raw_value(key)) if self.unique else key)
        found = []
        for raws, datas in scan(txn, *self.map.bounds(txn, None, None, None)) if owners else ():
            if self.unique:
                found += [raw for raw, data in zip(raws, datas, strict=True) if bytes(data) in owners]
            else:
                found += [raw for raw in raws if self._member(raw) in owners]
        return found

    def _member(self, raw: bytes) -> Any:
        try:
            return self.map.split(raw)[1]  # type: ignore[attr-defined]  # set-valued by `attach`
        except DataError:
            return None

    def _is_stale(self, txn: Transaction, raw: bytes, owner: bytes) -> bool:
        # older programs let a second record take an index record over and left wrong ones behind
        table = self.table
        key = self.owner(raw, owner)
        row = table.raw_key(key)
        data = txn.fetch(row)
        if data is None:
            return True
        try:
            entry = self.entry(row, key, table.from_raw(row, data))
        except NullViolation:
            return True
        except Exception as exc:  # of a row that cannot be read it cannot be told that it has lost the key
            raise self._violation(raw, owner) from exc
        return entry is None or entry[0] != raw

    def _violation(self, raw: bytes, present: bytes) -> UniqueViolation:
        key = self.map.key_codec.decode(raw[2:])
        owner = self.owner(raw, present)
        return UniqueViolation(
            f"another record owns the key {key!r}",
            where=self.title,
            got=key,
            expected=f"a key that no record but {owner!r} has",
            next_step="change the field, or delete or change the owner first",
            index=self.name,
            key=key,
            owner=owner,
        )


def attach(
    table: Map[Any, Any],
    name: str,
    map_: Map[Any, Any],
    fkey: Callable[[Any], Any],
    *,
    nullable: bool,
    unique: bool,
) -> None:
    """Attach ``map_`` to ``table`` as the index ``name``; raise `SchemaError` where that cannot be."""
    from zlmdb.orm.map import Map
    from zlmdb.orm.sets import SetMap, make_set_valued

    for given, fits, wanted in (
        (name, isinstance(name, str), "a str as name"),
        (map_, isinstance(map_, Map), "a map of index keys to keys"),
        (fkey, callable(fkey), "a function from a value to its index key"),
    ):
        if not fits:
            raise TableDeclaration("the index cannot be attached", where=table.title, got=given, expected=wanted)
    fault = None
    if map_ is table or (map_.slot is not None and map_.slot == table.slot):
        fault = f"{map_.title} is the table itself"
    elif map_.home is not None and table.home is not None and map_.home != table.home:
        fault = f"{map_.title} is attached to another database"
    elif name in table._indexes:
        fault = f"there is an index {name!r} already"
    elif map_.is_index():
        fault = f"{map_.title} is an index already"
    elif table.is_index() or isinstance(table, SetMap):
        fault = "an index, or a set-valued map, cannot have indexes"
    elif unique and isinstance(map_, SetMap):
        fault = f"{map_.title} holds sets, which a unique index cannot"
    elif map_.value_codec.name.partition("+")[2]:
        fault = f"{map_.title} is compressed, which an index cannot be"
    if fault:
        raise SchemaError(f"the index cannot be attached: {fault}", where=table.title, got=name)
    if not unique:
        make_set_valued(map_)
    table._indexes[name] = Index(name, table, map_, fkey, nullable, unique)
    map_._index_attached_to = table


def named(table: Map[Any, Any], name: str) -> Index:
    """Return the index ``name`` of ``table``, or raise `SchemaError`."""
    try:
        return table._indexes[name]
    except (KeyError, TypeError):  # a name may be anything
        raise SchemaError(
            "there is no index of this name", where=table.title, got=name, expected=f"one of {table.indexes()}"
        ) from None
