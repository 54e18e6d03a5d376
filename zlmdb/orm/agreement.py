# SPDX-License-Identifier: MIT
"""Whether an index and its table agree, in both directions, and how to make them."""

from __future__ import annotations

from typing import Any, Final

from zlmdb.errors import DecodeError, ZlmdbError, described
from zlmdb.orm.findings import Findings, Problem
from zlmdb.orm.index import Entry, Index
from zlmdb.orm.sets import SetMap
from zlmdb.storage import Transaction, scan

_Fault = tuple[str, str]  # kind and text of a problem
_MENDABLE: Final = frozenset({"missing entry", "stray entry", "wrong owner", "wrong layout"})


class Agreement:
    """Compares an index with its table in one transaction: `check_row` for each row, then `check_entries`.

    With ``mend`` each disagreement is ended at once, and what cannot be is found. Entries whose row cannot be
    read, or yields no key, are left alone: they may be all that is known of it.
    """

    def __init__(self, index: Index, txn: Transaction, limit: int, *, mend: bool = False) -> None:
        self.index = index
        self.findings = Findings(limit)
        self.mendable = 0
        self.deleted = self.written = 0
        self._txn = txn
        self._limit = limit
        self._mend = mend
        self._claims: dict[bytes, Any] = {}
        """Raw keys of entries that a row lacks or has in another form, and the row; as many as problems are listed."""

    # --- from the rows to the entries

    def check_row(self, key: Any, value: Any) -> None:
        """Look for the entry of a row."""
        try:
            entry = self.index.entry(self.index.table.raw_key(key), key, value)
            if entry is not None:
                self.index.map.check_length(entry[0], self._txn.max_key_size)
        except Exception as exc:  # noqa: BLE001  the application's function may raise anything
            self._found(key, ("unindexable", _told(exc)))
            return
        if entry is None:
            return
        present = self.index.map.ordered(self._txn).get(entry[0])
        if present is None:
            self._absent(key, entry)
        elif bytes(present) != entry[1]:
            self._taken(key, entry, bytes(present))

    def _absent(self, key: Any, entry: Entry) -> None:
        rival = self._claim(key, entry)
        if rival is not None:
            self._found(key, rival)
        elif not self._write(entry):
            self._found(key, ("missing entry", f"the row has no entry under {self._key(entry[0])!r}"))

    def _taken(self, key: Any, entry: Entry, present: bytes) -> None:
        """Handle an entry that has the key of this row and other data."""
        raw = entry[0]
        fault = self._fault(raw, present)
        if fault is None:
            self._found(key, ("conflict", f"{self._key(raw)!r} belongs to {self._owner(raw, present)!r} already"))
            return
        if fault[0] == "stray entry":
            fault = ("wrong owner", f"the entry names {self._owner(raw, present)!r}, and row {key!r} yields it")
        rival = self._claim(key, entry)
        if rival is not None:
            self._found(key, rival)
        elif fault[0] not in _MENDABLE or not self._write(entry):
            self._found(self._key(raw), fault)

    def _claim(self, key: Any, entry: Entry) -> _Fault | None:
        """Note which row is to have an entry; return the fault if another row is to have it too."""
        raw = entry[0]
        if self._mend:
            return None  # what is mended is seen in the file
        if raw in self._claims:
            return ("conflict", f"{self._key(raw)!r} belongs to {self._claims[raw]!r} as well, and neither is indexed")
        if len(self._claims) < self._limit:
            self._claims[raw] = key
        return None

    # --- from the entries to the rows

    def check_entries(self) -> int:
        """Look for the row of each entry; return the number of entries."""
        count = 0
        entries = self.index.map.ordered(self._txn)
        for raws, datas in scan(entries, *self.index.map.bounds(self._txn, None, None, None)):
            for raw, data in zip(raws, datas, strict=True):
                count += 1
                fault = None if raw in self._claims else self._fault(raw, bytes(data))
                if fault is not None and not (fault[0] in _MENDABLE and self._delete(raw)):
                    self._found(self._key(raw), fault)
        return count

    def _fault(self, raw: bytes, data: bytes) -> _Fault | None:
        """Return what is wrong with an entry; None also if its row is there and tells nothing."""
        table = self.index.table
        try:
            owner = self._parse(raw, data)
        except DecodeError as exc:
            return "wrong layout", exc.what
        try:
            row = table.raw_key(owner)
        except ZlmdbError as exc:
            return "unindexable", f"the entry names {owner!r}, which is no key that the table takes: {exc.what}"
        stored = table.ordered(self._txn).get(row)
        if stored is None:
            return "stray entry", f"the entry names {owner!r}, and there is no such row"
        try:
            yielded = self.index.entry(row, owner, table.from_raw(row, stored))
        except Exception:  # noqa: BLE001  said of the row already
            return None
        return None if yielded == (raw, data) else ("stray entry", f"row {owner!r} does not yield this key")

    def _parse(self, raw: bytes, data: bytes) -> Any:
        """Return the owner in an entry."""
        map_ = self.index.map
        if isinstance(map_, SetMap):
            owner = map_.split(raw)[1]
            if data:
                raise DecodeError("an entry of a set has data", got=data, expected="no bytes")
            return owner
        try:
            map_.key_codec.decode(raw[2:])
        except DecodeError as exc:
            raise map_.undecodable(raw, exc) from exc
        return self.index.owner(raw, data)

    # --- telling and mending

    def _key(self, raw: bytes) -> Any:
        map_ = self.index.map
        try:
            return map_.split(raw)[0] if isinstance(map_, SetMap) else map_.key_codec.decode(raw[2:])
        except DecodeError:
            return raw[2:]

    def _owner(self, raw: bytes, data: bytes) -> Any:
        return self.index.owner(raw, data)

    def _found(self, key: Any, fault: _Fault) -> None:
        kind, what = fault
        self.mendable += kind in _MENDABLE
        self.findings.add(Problem(kind, self.index.title, self.index.map.slot or 0, key, what))

    def _write(self, entry: Entry) -> bool:
        if self._mend:
            self._txn.put(*entry)
            self.written += 1
        return self._mend

    def _delete(self, raw: bytes) -> bool:
        if self._mend:
            self._txn.delete(raw)
            self.deleted += 1
        return self._mend


def _told(exc: Exception) -> str:
    return exc.what if isinstance(exc, ZlmdbError) else described(exc)
