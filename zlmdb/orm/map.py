# SPDX-License-Identifier: MIT
"""`Map[K, V]`: a table of typed records, one key codec and one value codec bound to a slot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from zlmdb.codecs.base import MARK
from zlmdb.errors import TableDeclaration
from zlmdb.orm import statements
from zlmdb.orm.base import K, V
from zlmdb.orm.bound import BoundMap
from zlmdb.orm.index import Index, attach, named
from zlmdb.orm.plan import MapPlan, PlainPut, Plan, Record
from zlmdb.orm.reading import RangeReads
from zlmdb.storage import EngineError, Transaction, clear

if TYPE_CHECKING:
    import pyarrow as pa

D = TypeVar("D")

MISSING: Final[Any] = object()
_new: Final[Any] = object.__new__


class Map(RangeReads[K, V]):
    """A table. Use it inside a transaction: ``m[txn, key]``, ``m[txn, key] = value``, ``del m[txn, key]``.

    ``m[txn, key]`` is None when there is nothing and ``del`` of a missing key is silent, as programs written
    for the published package rely on; `bound` gives a `MutableMapping` that raises KeyError instead.
    A map holds no thread and no transaction: it may be shared by threads, each with its own transactions.

    ``slot`` is a fixed slot number (1 … 65535), a class declared with ``@table`` (its slot is looked up in
    the file's catalogue by the schema that holds this map), or None for a map that `Database.attach_table`
    binds. ``marshal``/``parse`` (or ``unmarshal``) convert values for JSON and CBOR kinds, ``build``/``cast``
    for FlatBuffers, ``compress`` is None, 1 or "zlib", 2 or "snappy".
    """

    # --- single records

    def __getitem__(self, item: tuple[Transaction, K]) -> V | None:
        """Return the value, or None if there is no such record."""
        try:  # all that goes well goes this way
            txn, key = item
            home = self._environment
            if home is None or txn.environment is home:
                if key.__class__ is self._uuid:
                    data = txn.fetch((self._above + key.int).to_bytes(18))  # type: ignore[attr-defined]
                else:
                    data = txn.fetch(self._prefix + self._encode_key(key))
                if data.__class__ is bytes:
                    if MARK in data:
                        return self._decode(data)
                    if (filled := self._filled) is not None:
                        loads, cls, size, has_all, set_dict = filled
                        plain = loads(data)
                        if plain.__class__ is dict and len(plain) == size:
                            has_all(plain)
                            value: V = _new(cls)
                            set_dict(value, plain)
                            return value
                    return self._decode(data) if (plainly := self._plainly) is None else plainly(data)
                if data is None:
                    return None
        except EngineError as exc:  # LMDB says it once: after that the transaction cannot go on
            raise item[0].failed(exc) from exc
        except Exception:  # noqa: BLE001, S110  the careful way finds out again, and says it better
            pass
        return self.get(item)

    def __contains__(self, item: tuple[Transaction, K]) -> bool:
        txn, key = self._pair(item)
        return txn.get(self.raw_key(key)) is not None

    def __setitem__(self, item: tuple[Transaction, K], value: V) -> None:
        """Store a record, replacing the one under this key. On any error nothing of it is written."""
        try:
            txn, key = item
            home = self._environment
            if home is not None and txn.environment is not home:
                self._pair(item)
            limit = txn.max_key_size
            if key.__class__ is self._uuid:
                raw = (self._above + key.int).to_bytes(18)  # type: ignore[attr-defined]
            else:
                raw = self._prefix + self._encode_key(key)
            data = self._encode(value)
        except Exception:  # noqa: BLE001  the careful way finds out again, and says it better
            txn, key = self._pair(item)
            limit = txn.max_key_size
            raw, data = self.raw_key(key), self.raw_value(value)
        if len(raw) > limit:
            self.check_length(raw, limit)
        if self._indexes:
            statements.upsert(self, txn, raw, data, statements.entries(self, raw, key, value, limit))
            return
        try:
            txn.store(raw, data)
        except EngineError as exc:
            raise txn.failed(exc) from exc

    def __delitem__(self, item: tuple[Transaction, K]) -> None:
        """Delete a record; silent if there is none.

        A record that cannot be read, or that the function of an index refuses, is looked for in its whole indexes.
        """
        txn, key = self._pair(item)
        statements.delete(self, txn, self.raw_key(key))

    @overload
    def get(self, item: tuple[Transaction, K]) -> V | None: ...
    @overload
    def get(self, item: tuple[Transaction, K], default: D) -> V | D: ...
    def get(self, item: tuple[Transaction, K], default: Any = None) -> Any:
        """Return the value, or ``default`` if there is no such record."""
        txn, key = self._pair(item)
        raw = self.raw_key(key)
        data = txn.get(raw)
        return default if data is None else self.from_raw(raw, data)

    @overload
    def pop(self, item: tuple[Transaction, K]) -> V | None: ...
    @overload
    def pop(self, item: tuple[Transaction, K], default: D) -> V | D: ...
    def pop(self, item: tuple[Transaction, K], default: Any = None) -> Any:
        """Delete the record and return its value, or ``default`` if there is none."""
        txn, key = self._pair(item)
        found = statements.pop(self, txn, self.raw_key(key))
        return found[0] if found else default

    def setdefault(self, item: tuple[Transaction, K], default: V) -> V:
        """Return the value; store and return ``default`` if there is none."""
        txn, key = self._pair(item)
        raw = self.raw_key(key)
        data = txn.get(raw)
        if data is not None:
            return self.from_raw(raw, data)
        self[txn, key] = default
        return default

    def insert(self, txn: Transaction, key: K, value: V) -> None:
        """Store a record under a new key; raise `KeyExists` if there is one."""
        self.check(txn)
        self.plan_insert(key, value, txn.max_key_size)(txn)

    def replace(self, txn: Transaction, key: K, value: V, *, expected: V = MISSING) -> V:
        """Replace a record and return its former value; with ``expected``, only if it has that value still.

        Raises `RecordMissing` if there is none, `RecordChanged` if it differs from ``expected``: neither would that
        be stored as the same bytes, nor is it ``==`` to what is stored.
        """
        self.check(txn)
        return self.plan_replace(key, value, txn.max_key_size, expected=expected)(txn)

    # --- planned writes: checked and encoded now, written later, perhaps on another thread

    def plan_put(self, key: K, value: V, max_key_size: int) -> Plan[None]:
        """Plan ``m[txn, key] = value``; ``max_key_size`` (bytes) is that of the database."""
        record = self.plain_record(key, value, max_key_size)
        if record is not None:
            return PlainPut(record)
        raw, data, entries = self._planned(key, value, max_key_size)
        return MapPlan(self, len(raw) + len(data), lambda txn: statements.upsert(self, txn, raw, data, entries))

    def plain_record(self, key: K, value: V, max_key_size: int) -> Record | None:
        """Return what `plan_put` plans if that is nothing but a record; None if there are indexes.

        For classes that plan a put in their own way this is not asked.
        """
        if self._indexes:
            return None
        try:
            if key.__class__ is self._uuid:
                raw = (self._above + key.int).to_bytes(18)  # type: ignore[attr-defined]
            else:
                raw = self._prefix + self._encode_key(key)
            data = self._encode(value)
        except Exception:  # noqa: BLE001  the careful way finds out again, and says it better
            raw, data = self.raw_key(key), self.raw_value(value)
        if len(raw) > max_key_size:
            self.check_length(raw, max_key_size)
        # a copy of all but bytes: the caller may change an array meanwhile
        return self, raw, data if data.__class__ is bytes else bytes(data)

    def plan_insert(self, key: K, value: V, max_key_size: int) -> Plan[None]:
        """Plan `insert`."""
        raw, data, entries = self._planned(key, value, max_key_size)
        return MapPlan(self, len(raw) + len(data), lambda txn: statements.insert(self, txn, raw, data, entries))

    def plan_replace(self, key: K, value: V, max_key_size: int, *, expected: V = MISSING) -> Plan[V]:
        """Plan `replace`."""
        raw, data, entries = self._planned(key, value, max_key_size)
        wanted = None if expected is MISSING else statements.Expected(self, expected)
        size = len(raw) + len(data)
        return MapPlan(self, size, lambda txn: statements.replace(self, txn, raw, data, entries, wanted))

    def plan_delete(self, key: K, max_key_size: int) -> Plan[bool]:
        """Plan ``del m[txn, key]``; the result tells whether there was a record."""
        raw = self.raw_key(key)
        return MapPlan(self, len(raw), lambda txn: statements.delete(self, txn, raw) is not None)

    def plan_pop(self, key: K, max_key_size: int) -> Plan[V | None]:
        """Plan `pop` with None as default."""
        raw = self.raw_key(key)
        return MapPlan(self, len(raw), lambda txn: (statements.pop(self, txn, raw) or (None,))[0])

    def _planned(self, key: K, value: V, limit: int) -> tuple[bytes, bytes, statements.Entries]:
        raw, data = self.raw_key(key), bytes(self.raw_value(value))  # the caller may change an array meanwhile
        if len(raw) > limit:
            self.check_length(raw, limit)
        return raw, data, statements.entries(self, raw, key, value, limit) if self._indexes else []

    # --- many records

    def get_many(self, txn: Transaction, keys: Iterable[K]) -> list[V | None]:
        """Return the values of ``keys`` in their order, None where there is no record."""
        return [self[txn, key] for key in statements.many(self, txn, keys, "keys")]

    def put_many(self, txn: Transaction, items: Iterable[tuple[K, V]]) -> int:
        """Store many records as one statement, all or none; return how many.

        ``items`` are read as they are written, and may be more than fit into memory: a generator that reads this
        table sees what was written so far. With ``writemap=True`` a failure leaves the whole transaction nothing
        but to roll back (`TransactionPoisoned`).
        """
        return statements.put_many(self, txn, items)

    def delete_many(self, txn: Transaction, keys: Iterable[K]) -> int:
        """Delete many records as one statement, all or none, as `put_many` does; return how many there were."""
        return statements.delete_many(self, txn, keys)

    def _discard(self, txn: Transaction, key: K, later: list[tuple[Index, bytes]]) -> bool:
        """Delete a record; tell whether there was one."""
        return statements.delete(self, txn, self.raw_key(key), later) is not None

    def from_arrow(
        self,
        txn: Transaction,
        table: pa.Table,
        key: str | Sequence[str] | None = None,
        make: Callable[..., V] | None = None,
    ) -> int:
        """Store the rows of an Arrow table as one statement, as `put_many` does; return how many.

        ``key`` names the columns of the key's parts (None: as `arrays` names them). The other columns are the fields
        of the record, which ``make(**fields)`` builds, or without it the map's record class, or a dict; a single
        column ``value`` is the value itself. Raises `ConfigError` for columns that do not fit.
        """
        from zlmdb.orm import arrow

        return arrow.write(self, txn, table, key, make)

    def truncate(self, txn: Transaction, rebuild_indexes: bool = True) -> int:
        """Delete all records of this table and their index records; return how many of both.

        ``rebuild_indexes=False`` leaves the index records, for a caller that clears them itself.
        """
        deleted = clear(txn, *self.bounds(txn, None, None, None))
        if rebuild_indexes:
            deleted += sum(index.map.truncate(txn) for index in self._indexes.values())
        return deleted

    def bound(self, txn: Transaction) -> BoundMap[K, V]:
        """Return this map within ``txn`` as a `MutableMapping`."""
        own = type(self)
        return BoundMap(self, txn, own.get is Map.get and own.__getitem__ is Map.__getitem__)

    def new_key(self) -> K:
        """Make a fresh key: random, or the present time, as the kind allows."""
        if self._key.new_key is None:
            raise TableDeclaration("keys of this kind are not made up", where=self.title, got=self._key.name)
        return self._key.new_key()

    def _unbound(self, *_args: Any) -> Any:
        raise NotImplementedError(f"{self.title}: use m.bound(txn), or m.count(txn) and m.select(txn)")

    __len__ = __iter__ = __bool__ = _unbound

    # --- indexes

    def attach_index(
        self, name: str, pmap: Map[Any, Any], fkey: Callable[[V], Any], nullable: bool = False, unique: bool = True
    ) -> None:
        """Keep ``pmap`` as an index of this table: ``fkey(value)`` is its key, this table's key its value.

        ``nullable``: records for which ``fkey`` gives None (or a tuple with a None) have no index record;
        otherwise they are refused with `NullViolation`. ``unique=False`` makes ``pmap`` set-valued:
        ``pmap[txn, key]`` is the live set of owners. The values of ``pmap`` are of the kind of this table's keys
        (``value_codec("OidString")`` for tuples). Raises `SchemaError` where it cannot be.

        Attaching writes nothing: for records that are there already call `rebuild_index` once.
        """
        attach(self, name, pmap, fkey, nullable=nullable, unique=unique)

    def detach_index(self, name: str) -> None:
        """Stop keeping an index; silent if there is none of this name. Its records stay."""
        index = self._indexes.pop(name, None)
        if index is not None:
            index.map._index_attached_to = None

    def indexes(self) -> list[str]:
        """Return the names of the indexes, sorted."""
        return sorted(self._indexes)

    def index(self, name: str) -> Index:
        """Return an attached index; `SchemaError` if there is none of this name."""
        return named(self, name)

    def find(self, txn: Transaction, name: str, key: Any) -> V | None:
        """Return the record that the unique index ``name`` has under ``key``; None if there is none.

        The same as ``m[txn, index[txn, key]]`` in one step, without making the owner's key between.
        Raises `SchemaError` if there is no unique index of this name.
        """
        try:  # all that goes well goes this way
            index = self._indexes[name]
            if index.holds_raw_keys and txn.environment is self._environment:
                map_ = index.map
                owner = txn.fetch(map_._prefix + map_._encode_key(key))
                if owner is None:
                    return None
                data = txn.fetch(self._prefix + owner)
                if data.__class__ is bytes:
                    if (filled := self._filled) is None or MARK in data:
                        return self._decode(data)
                    loads, cls, size, has_all, set_dict = filled
                    plain = loads(data)
                    if plain.__class__ is dict and len(plain) == size:
                        has_all(plain)
                        value: V = _new(cls)
                        set_dict(value, plain)
                        return value
        except EngineError as exc:
            raise txn.failed(exc) from exc
        except Exception:  # noqa: BLE001, S110  the careful way finds out again, and says it better
            pass
        return self._find(txn, self.index(name), key)

    def _find(self, txn: Transaction, index: Index, key: Any) -> V | None:
        self.check(txn)
        owner = txn.get(index.raw_unique(txn, key))
        if owner is None:
            return None
        raw = self._prefix + owner if index.holds_raw_keys else self.raw_key(index.owner(b"", owner))
        data = txn.get(raw)
        return None if data is None else self.from_raw(raw, data)

    def is_index(self) -> bool:
        """Tell whether this map is kept as an index of another one."""
        return self._index_attached_to is not None

    def rebuild_index(self, txn: Transaction, name: str) -> tuple[int, int]:
        """Clear an index and fill it from the table, all or nothing; return (deleted, inserted) index records.

        With ``writemap=True`` a failure leaves the whole transaction nothing but to roll back.
        """
        index = self.index(name)
        self.check(txn)
        return statements.rebuild(self, txn, index)

    def rebuild_indexes(self, txn: Transaction) -> tuple[int, int]:
        """Rebuild all indexes, all or nothing; return the sums of (deleted, inserted)."""
        self.check(txn)
        with txn.statement():
            done = [self.rebuild_index(txn, name) for name in self.indexes()]
        return sum(deleted for deleted, _ in done), sum(inserted for _, inserted in done)


PersistentMap = Map
