# SPDX-License-Identifier: MIT
"""Set-valued maps: one record for each member, so that adding to a set of a million members writes a few bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from collections.abc import Set as AbstractSet
from typing import Any, Self, TypeVar, cast

from zlmdb.codecs import KeyCodec, compose, key_codec, set_member
from zlmdb.errors import DataError, RecordMissing, SchemaError, TableDeclaration, WrongType
from zlmdb.orm import ranges
from zlmdb.orm.map import Map
from zlmdb.orm.plan import MapPlan, Plan
from zlmdb.orm.reading import Part
from zlmdb.storage import EngineError, Transaction, clear, end_of_prefix, is_empty, scan

K = TypeVar("K")
M = TypeVar("M")


class SetMap(Map[K, "LiveSet[M]"]):
    """A map whose values are sets: ``m[txn, key]`` is always a live set, empty where nothing is stored.

    ``m[txn, key] = members`` replaces a set, ``del m[txn, key]`` empties it, ``(txn, key) in m`` is False
    while it is empty. A record's raw key is slot, key, member; its value is empty.
    """

    _pairs: KeyCodec[Any] | None = None
    _member: KeyCodec[Any] | None = None  # of members that are tuples

    @property
    def pairs(self) -> KeyCodec[Any]:
        """The codec of (key parts …, member, or the parts of it)."""
        if self._pairs is None:
            kind = self.value_codec.name.partition("+")[0]  # compression would find nothing in empty values
            member = set_member(kind) or key_codec(kind)
            self._pairs = compose(*(self.key_codec.parts or (self.key_codec,)), member)
            self._member = compose(*member.parts) if member.parts else None
        return self._pairs

    @property
    def kind(self) -> str:
        """Key kind and member kind."""
        kind = super().kind.partition("+")[0]
        return kind if kind.endswith("Set") else f"{kind}Set"

    @property
    def member_codec(self) -> KeyCodec[M]:
        """The codec of the members: of the bytes that follow the raw beginning of a set."""
        pairs = self.pairs
        return self._member or pairs.parts[-1]

    def _parts(self, key: Any) -> tuple[Any, ...]:
        if not self.key_codec.parts:
            return (key,)
        if not isinstance(key, tuple) or len(key) != len(self.key_codec.parts):
            raise WrongType(
                "not a key of this map",
                where=self.title,
                got=key,
                expected=f"a tuple of {len(self.key_codec.parts)} ({self.key_codec.name})",
            )
        return key

    def raw_member(self, key: K, member: M) -> bytes:
        """Return the raw key of one member; errors name this map."""
        if self.slot is None:
            self._unattached(None)
        try:
            pairs = self.pairs
            if self._member:
                return self.raw_set(key)[0] + self._member.encode(member)
            return self.raw_prefix + pairs.encode((*self._parts(key), member))
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__

    def raw_members(self, begin: bytes, members: Iterable[M], limit: int) -> list[bytes]:
        """Return the raw keys of members of the set that begins with ``begin``; errors name this map."""
        encode = self.member_codec.encode
        try:
            raws = [begin + encode(member) for member in members]
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__
        for raw in raws:
            if len(raw) > limit:
                self.check_length(raw, limit)
        return raws

    def raw_set(self, key: K) -> tuple[bytes, bytes | None]:
        """Return the raw range of the members of one set."""
        if self.slot is None:
            self._unattached(None)
        try:
            begin = self.raw_prefix + self.pairs.encode_prefix(self._parts(key))
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__
        return begin, end_of_prefix(begin)

    def split(self, raw: bytes) -> tuple[K, M]:
        """Return key and member of a raw key."""
        try:
            *parts, member = self.pairs.decode(raw[2:])
        except DataError as exc:
            raise self.undecodable(raw, exc) from exc
        if self._member:
            size = len(self._member.parts) - 1
            parts, member = parts[:-size], (*parts[-size:], member)
        return (tuple(parts) if self.key_codec.parts else parts[0]), member  # type: ignore[return-value]

    # --- reading

    def __getitem__(self, item: tuple[Transaction, K]) -> LiveSet[M]:
        txn, key = self._pair(item)
        return LiveSet(self, txn, key)

    def get(self, item: tuple[Transaction, K], default: Any = None) -> Any:
        """Return the live set, or ``default`` if it is empty."""
        live = self[item]
        return live or default

    def __contains__(self, item: tuple[Transaction, K]) -> bool:
        txn, key = self._pair(item)
        return not is_empty(txn, *self.raw_set(key))

    def select(
        self,
        txn: Transaction,
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        return_keys: bool = True,
        return_values: bool = True,
        reverse: bool = False,
        limit: int | None = None,
        prefix: Any = None,
        live: bool = True,
    ) -> Iterator[Any]:
        """Iterate over the sets that are not empty, as `Map.select` does over records; always ``live``."""
        self.checked_limit(limit)
        low, high = self.bounds(txn, from_key, to_key, prefix)
        return self._sets(txn, low, high, return_keys, return_values, reverse, limit)

    def _sets(
        self,
        txn: Transaction,
        low: bytes,
        high: bytes | None,
        keys: bool,
        values: bool,
        reverse: bool,
        limit: int | None,
    ) -> Iterator[Any]:
        while limit is None or limit > 0:
            found = next(scan(txn, low, high, reverse=reverse, values=False, limit=1), None)
            if found is None:
                return
            key, _ = self.split(found[0][0])
            begin, end = self.raw_set(key)
            if reverse:
                high = begin
            elif end is None:
                limit = 1
            else:
                low = end
            members = LiveSet(self, txn, key) if values else None
            yield (key, members) if keys and values else key if keys else members
            if limit is not None:
                limit -= 1

    def bounds(
        self, txn: Transaction, from_key: K | Part | None, to_key: K | Part | None, prefix: Any
    ) -> tuple[bytes, bytes | None]:
        """Return the raw range of whole sets for these bounds."""
        self.check(txn)
        begin = self.raw_prefix
        try:
            if prefix is not None and self.key_codec.parts:
                begin += self.pairs.encode_prefix(prefix)
            elif prefix is not None:  # a leading piece of a text, which is escaped where a member follows it
                begin += self.key_codec.encode_prefix(prefix).replace(b"\0", b"\0\xff")
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__
        low, high = begin, end_of_prefix(begin)
        if from_key is not None:
            low = max(low, self._raw_bound(from_key))
        if to_key is not None:
            end = self._raw_bound(to_key)
            high = end if high is None else min(high, end)
        return low, high

    def _raw_bound(self, key: Any) -> bytes:
        if type(key) is not tuple or len(key) >= len(self.key_codec.parts):
            return self.raw_set(cast("K", key))[0]
        try:
            return self.raw_prefix + self.pairs.encode_prefix(key)
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__

    def count(self, txn: Transaction, prefix: Any = None) -> int:
        """Count the sets that are not empty."""
        return sum(1 for _ in self.select(txn, prefix=prefix, return_keys=False, return_values=False))

    def count_range(self, txn: Transaction, from_key: K | Part | None, to_key: K | Part | None) -> int:
        """Count the sets that are not empty with ``from_key <= key < to_key``."""
        return sum(1 for _ in self.select(txn, from_key, to_key, return_keys=False, return_values=False))

    def count_members(self, txn: Transaction) -> int:
        """Count the members of all sets together."""
        return ranges.count(txn, *self.bounds(txn, None, None, None))

    # --- writing

    def __setitem__(self, item: tuple[Transaction, K], value: Any) -> None:
        """Make the set consist of ``value``'s members; all are checked before one is written."""
        txn, key = self._pair(item)
        self.plan_put(key, value, txn.max_key_size)(txn)

    def __delitem__(self, item: tuple[Transaction, K]) -> None:
        self._discard(*self._pair(item), [])

    def _discard(self, txn: Transaction, key: K, later: object) -> bool:
        return bool(clear(txn, *self.raw_set(key)))

    def plan_put(self, key: K, value: Any, max_key_size: int) -> Plan[None]:
        """Plan ``m[txn, key] = members``."""
        if not isinstance(value, (AbstractSet, list, tuple)):
            raise WrongType("not a set of members", where=self.title, got=value, expected="a set, list or tuple")
        low, high = self.raw_set(key)
        raws = set(self.raw_members(low, value, max_key_size))

        def run(txn: Transaction) -> None:
            if not txn.write:
                txn.erase(low)  # refuses, also where there happens to be nothing to change
            stored = {raw for raws_, _ in scan(txn, low, high, values=False, live=False) for raw in raws_}
            try:
                for raw in stored - raws:
                    txn.erase(raw)
                for raw in sorted(raws - stored):
                    txn.store(raw, b"")
            except EngineError as exc:
                raise txn.failed(exc) from exc

        return MapPlan(self, sum(map(len, raws)), run)

    def plan_delete(self, key: K, max_key_size: int) -> Plan[bool]:
        """Plan ``del m[txn, key]``."""
        low, high = self.raw_set(key)
        return MapPlan(self, len(low), lambda txn: bool(clear(txn, low, high)))

    def _refuse(self, *_args: Any, **_kwargs: Any) -> Any:
        raise SchemaError(
            "a set-valued map does not have this operation",
            where=self.title,
            next_step="work on the live set m[txn, key]",
        )

    plan_insert = plan_replace = plan_pop = setdefault = _refuse

    def pop(self, item: tuple[Transaction, K], default: Any = None) -> Any:
        """Empty the set and return its former members as a plain set, or ``default`` if it was empty."""
        members = set(self[item])
        del self[item]
        return members or default


class LiveSet(MutableSet[M]):
    """The members stored under one key, read and written as they are asked for, in member order.

    Valid as long as its transaction.
    """

    __slots__ = ("_high", "_key", "_low", "_map", "_txn")

    def __init__(self, map_: SetMap[Any, M], txn: Transaction, key: Any) -> None:
        self._low, self._high = map_.raw_set(key)  # refuses a wrong key now
        self._map = map_
        self._txn = txn
        self._key = key

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:  # |, & … give plain sets
        return set(it)

    def __contains__(self, member: object) -> bool:
        try:
            raw = self._low + self._map.member_codec.encode(cast("M", member))
        except DataError:
            return False  # what cannot be a member is none
        return self._txn.get(raw) is not None

    def __iter__(self) -> Iterator[M]:
        map_, start = self._map, len(self._low)
        decode = map_.member_codec.decode_many
        for raws, _ in scan(self._txn, self._low, self._high, values=False):
            try:
                members = decode([raw[start:] for raw in raws])
            except DataError:
                members = [map_.split(raw)[1] for raw in raws]  # fails again, and names the record
            yield from members

    def __len__(self) -> int:
        return ranges.count(self._txn, self._low, self._high)

    def __bool__(self) -> bool:
        return not is_empty(self._txn, self._low, self._high)

    def add(self, member: M) -> None:
        """Add a member; one record of a few bytes, however large the set is."""
        self.update((member,))

    def discard(self, member: M) -> None:
        """Remove a member if it is one."""
        for raw in self._raw_members((member,)):
            self._txn.delete(raw)

    def remove(self, member: M) -> None:
        """Remove a member; raise `RecordMissing`, a KeyError, if it is none."""
        for raw in self._raw_members((member,)):
            if not self._txn.delete(raw):
                raise RecordMissing("the set has no such member", where=self._where, got=member)

    def pop(self) -> M:
        """Remove the least member and return it; raise `RecordMissing`, a KeyError, if there is none."""
        for member in self:
            self.discard(member)
            return member
        raise RecordMissing("the set is empty", where=self._where)

    def update(self, members: Iterable[M]) -> None:
        """Add members; all are checked before one is written."""
        for raw in self._raw_members(members):
            self._txn.put(raw, b"", overwrite=False)

    def __ior__(self, other: AbstractSet[Any]) -> Self:  # type: ignore[misc]  # members of this kind only
        if not isinstance(other, AbstractSet):
            return NotImplemented
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove all members."""
        clear(self._txn, self._low, self._high)

    @property
    def _where(self) -> str:
        return f"{self._map.title}, key {self._key!r}"

    def _raw_members(self, members: Iterable[M]) -> list[bytes]:
        if not isinstance(members, Iterable):
            raise WrongType("no members of a set", where=self._where, got=members, expected="an iterable of members")
        return self._map.raw_members(self._low, members, self._txn.max_key_size)

    def __repr__(self) -> str:
        return f"<set of {self._where}>"


_set_classes: dict[type, type] = {}


def make_set_valued(map_: Map[Any, Any]) -> None:
    """Turn a map into a set-valued one: a non-unique index holds sets of owners, whatever its class says.

    Raises `SlotConflict` if the slot holds single values.
    """
    if isinstance(map_, SetMap):
        return
    try:
        key_codec(map_.value_codec.name)
    except DataError as exc:
        raise TableDeclaration(
            "values of this kind cannot be members of a set", where=map_.title, got=map_.value_codec.name
        ) from exc
    if map_.retype is not None:
        map_.retype(f"{map_.kind}Set")
    cls = type(map_)
    # the map object is the caller's own, which is to answer with sets from now on: so its class changes
    map_.__class__ = _set_classes.setdefault(cls, type(cls.__name__, (SetMap, cls), {}))
