# SPDX-License-Identifier: MIT
"""Indexes of tables whose keys are tuples are exact, found through, checked and repaired like all others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zlmdb
from zlmdb import errors
from zlmdb.codecs import key_codec, value_codec

NOW = np.datetime64(1_600_000_000_000_000_000, "ns")
KINDS: dict[str, tuple[str, Callable[[int], Any]]] = {
    "OidString": ("OidString", lambda number: (number, f"s\0{number}")),
    "StringOid": ("StringOid", lambda number: (f"s\0{number}", number)),
    "Bytes20Timestamp": ("Bytes20Timestamp", lambda number: (bytes([number] * 20), NOW + number)),
    "UuidUint16String": ("UuidUint16String", lambda number: (zlmdb_uuid(number), number, "")),
    "documents": ("OidString", lambda number: (number, "s")),
}


def zlmdb_uuid(number: int) -> Any:
    from uuid import UUID

    return UUID(int=number)


class Rows(zlmdb.Schema):
    """A table with a unique index and another, over the field ``n`` and the field ``group``."""

    def __init__(self, kind: str, values: str) -> None:
        self.rows: zlmdb.Map[Any, Any] = zlmdb.Map(1, key=key_codec(kind), value=value_codec("Cbor"))
        self.by_number: zlmdb.Map[Any, Any] = zlmdb.Map(2, key=key_codec("String"), value=value_codec(values))
        self.by_group: zlmdb.Map[Any, Any] = zlmdb.Map(3, key=key_codec("String"), value=value_codec(kind))
        self.rows.attach_index("n", self.by_number, lambda row: row["n"])
        self.rows.attach_index("group", self.by_group, lambda row: row["group"], unique=False)


@pytest.mark.parametrize("name", KINDS)
def test_an_index_holds_keys_that_are_tuples(db: zlmdb.Database, name: str) -> None:
    kind, key = KINDS[name]
    schema = Rows(kind, "Cbor" if name == "documents" else kind)
    rows, by_group = schema.rows, schema.by_group
    with db.begin(write=True) as txn:
        for number in range(20):
            rows[txn, key(number)] = {"n": str(number), "group": f"g{number % 3}"}
        assert rows.find(txn, "n", "7") == {"n": "7", "group": "g1"}
        assert set(by_group[txn, "g1"]) == {key(number) for number in range(1, 20, 3)}
        assert list(by_group[txn, "g1"]) == sorted(by_group[txn, "g1"])
        assert key(4) in by_group[txn, "g1"]
        assert key(5) not in by_group[txn, "g1"]
        assert "no tuple" not in by_group[txn, "g1"]
        with pytest.raises(errors.UniqueViolation) as caught:
            rows[txn, key(20)] = {"n": "7", "group": "g0"}
        assert caught.value.owner == key(7)
        rows[txn, key(7)] = {"n": "70", "group": "g2"}
        del rows[txn, key(8)]
        assert rows.find(txn, "n", "7") is rows.find(txn, "n", "8") is None
        assert set(by_group[txn, "g2"]) == {key(number) for number in (2, 5, 7, 11, 14, 17)}
    assert db.check(rows).ok
    with db.begin(write=True) as txn:
        schema.by_number.truncate(txn)
        txn.delete(by_group.raw_member("g0", key(3)))  # type: ignore[attr-defined]
    report = db.check(rows, repair=True)
    assert report.ok, str(report)
    assert len(report.repaired) == 2
    with db.begin(write=True) as txn:
        assert rows.find(txn, "n", "70") == {"n": "70", "group": "g2"}
        assert rows.rebuild_index(txn, "group") == (19, 19)


def test_an_index_that_was_attached_to_a_table_with_records_is_logged_until_it_is_filled(
    db: zlmdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Plain(zlmdb.Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.rows = zlmdb.MapOidCbor(1)

    class Indexed(Plain):
        def attach(self, db: zlmdb.Database) -> None:
            super().attach(db)
            self.by_n = zlmdb.MapStringOid(2)
            self.rows.attach_index("n", self.by_n, lambda row: row["n"])

    db.attach(Indexed)
    plain = db.attach(Plain)
    with db.begin(write=True) as txn:
        plain.rows[txn, 1] = {"n": "a"}
    assert caplog.text == ""
    indexed = db.attach(Indexed)
    assert "index 'n' of MapOidCbor (slot 1) is empty, and its table is not" in caplog.text
    caplog.clear()
    with db.begin(write=True) as txn:
        assert indexed.rows.rebuild_index(txn, "n") == (0, 1)
    db.attach(Indexed)
    assert caplog.text == ""
