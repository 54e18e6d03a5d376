# SPDX-License-Identifier: MIT
"""What a map reads by ranges of its keys: records one by one, pages, columns, counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from zlmdb.errors import ConfigError
from zlmdb.orm import ranges
from zlmdb.orm.base import K, MapBase, V
from zlmdb.storage import Transaction

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from zlmdb.orm.columns import Column
    from zlmdb.orm.paging import Page

Part = tuple[Any, ...]
"""The first parts of a tuple key."""


class RangeReads(MapBase[K, V]):
    """The part of a `zlmdb.orm.map.Map` that reads ranges; see there."""

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
        """Iterate over ``from_key <= key < to_key``, ascending, or descending with ``reverse``.

        Yields ``(key, value)``, keys, values or Nones, as ``return_keys`` and ``return_values`` say, at most
        ``limit`` records. A bound of a tuple key may be its first parts alone, which sort before all keys that
        begin with them, as tuples do in Python: ``to_key=(2,)`` ends before the first key of 2. ``prefix`` keeps
        to keys with this leading part. The iterator lives as long as the transaction; in a write transaction
        it sees what is changed behind its back. With ``live=False`` it reads up to 512 records ahead there, and takes
        a fraction of the time: for ranges that nothing is written to meanwhile. Raises `WrongType` and `WrongValue`
        for what is no bound.
        """
        self.checked_limit(limit)
        low, high = self.bounds(txn, from_key, to_key, prefix)
        return ranges.select(self, txn, low, high, return_keys, return_values, reverse, limit, live)

    def page(
        self,
        txn: Transaction,
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[K, V]:
        """Return up to ``limit`` records of a range (as for `select`) and a token for the next page.

        Ask for the next page with ``after=page.token`` and the same bounds, in this or a later transaction, also
        after the database was opened again. A record that is there all the time comes exactly once, whatever
        is written in between. The token says which key was last: it is no secret and no permission.
        Raises `BadToken` for a token of another query, `ConfigError` for a limit below 1.
        """
        from zlmdb.orm import paging

        size = paging.checked_limit(self, limit)
        return paging.page(paging.Query(self, *self.bounds(txn, from_key, to_key, prefix), reverse), txn, size, after)

    # --- columns

    def arrays(
        self,
        txn: Transaction,
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        fields: Sequence[str] | None = None,
        prefix: Any = None,
        limit: int | None = None,
        key_names: Sequence[str] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Return a range (as for `select`) as NumPy arrays by name: ``pandas.DataFrame(m.arrays(txn))``.

        The key is ``key``, or part by part ``key0``, ``key1`` … unless ``key_names`` says otherwise; then come the
        ``fields`` of the records (None: all, also those that only some dicts have; []: the keys alone), or ``value``
        for values that are no records. Timestamps are datetime64[ns], integers int64, or uint64 where that is too
        small, or objects; floats, and integers among them or with None, are float64 with NaN for None, or objects
        where a number would change; bools are bool; arrays of one shape are stacked; texts, bytes, UUIDs and all
        else, None among them, are objects. Raises `ConfigError`, `DecodeError`, `MissingDependency` without NumPy.
        """
        return {
            name: column.array()
            for name, column in self._columns(txn, from_key, to_key, fields, prefix, limit, key_names).items()
        }

    def to_arrow(
        self,
        txn: Transaction,
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        fields: Sequence[str] | None = None,
        prefix: Any = None,
        limit: int | None = None,
        key_names: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return what `arrays` does as an Arrow table: nulls for None, UUIDs as binary of 16 bytes.

        Raises `WrongValue` for a column of mixed types, `MissingDependency` without pyarrow and NumPy.
        """
        from zlmdb.orm import arrow

        return arrow.table(self, self._columns(txn, from_key, to_key, fields, prefix, limit, key_names))

    def _columns(
        self, txn: Transaction, from_key: Any, to_key: Any, fields: Any, prefix: Any, limit: Any, key_names: Any
    ) -> dict[str, Column]:
        from zlmdb.orm import columns

        self.checked_limit(limit)
        bounds = self.bounds(txn, from_key, to_key, prefix)
        return columns.read(self, txn, bounds, fields, key_names, limit)

    @cached_property
    def read_keys(self) -> ranges.KeyReader:
        """The function from raw keys to keys, in bulk."""
        return ranges.key_reader(self._key)

    def checked_limit(self, limit: int | None) -> None:
        """Raise `ConfigError` unless ``limit`` is None or a number of records."""
        if limit is not None and (type(limit) is not int or limit < 0):
            raise ConfigError("not a limit", where=self.title, got=limit, expected="an int >= 0, or None")

    def bounds(
        self, txn: Transaction, from_key: K | Part | None, to_key: K | Part | None, prefix: Any
    ) -> tuple[bytes, bytes | None]:
        """Return the raw range for these bounds; errors name this map."""
        self.check(txn)
        return ranges.bounds(self, from_key, to_key, prefix)

    def count(self, txn: Transaction, prefix: Any = None) -> int:
        """Count the records, or those whose key begins with ``prefix``."""
        return ranges.count(txn, *self.bounds(txn, None, None, prefix))

    def count_range(self, txn: Transaction, from_key: K | Part | None, to_key: K | Part | None) -> int:
        """Count the records with ``from_key <= key < to_key``; bounds as for `select`."""
        return ranges.count(txn, *self.bounds(txn, from_key, to_key, None))
