# SPDX-License-Identifier: MIT
"""Bad input: a typed error that says what, where, got, expected, and a database that is unchanged after it."""

import tracemalloc
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

import zlmdb
from zlmdb import errors

U = UUID(int=1)
CASES = [
    ("MapUuidString", "not a uuid", "x"),
    ("MapUuidString", b"x" * 16, "x"),
    ("MapUuidString", None, "x"),
    ("MapUuidString", U, 5),
    ("MapUuidString", U, None),
    ("MapUuidUuid", U, None),
    ("MapUuidUuid", U, "x"),
    ("MapOidOid", -1, 1),
    ("MapOidOid", 2**53 + 1, 1),
    ("MapOidOid", True, 1),
    ("MapOidOid", 1.0, 1),
    ("MapOidOid", 10**5000, 1),
    ("MapOidOid", 1, 2**53 + 1),
    ("MapUint16Oid", 65536, 1),
    ("MapUint64Oid", 2**64, 1),
    ("MapStringOid", "\ud800", 1),
    ("MapStringOid", "x" * 3000, 1),
    ("MapBytes20Oid", b"x" * 19, 1),
    ("MapBytesOid", "text", 1),
    ("MapTimestampCbor", np.datetime64("NaT"), 1),
    ("MapTimestampCbor", np.datetime64("1969-12-31T23:59:59", "ns"), 1),
    ("MapTimestampCbor", -1, 1),
    ("MapTimestampCbor", np.datetime64(10**6, "Y"), 1),
    ("MapTimestampCbor", "2020-01-01", 1),
    ("MapOidTimestamp", 1, None),
    ("MapOidUuidOid", (1, None), 1),
    ("MapOidUuidOid", (1,), 1),
    ("MapOidUuidOid", (1, U, 3), 1),
    ("MapOidUuidOid", 1, 1),
    ("MapStringStringUuid", ("a\0b", "c"), U),
    ("MapOidCbor", 1, object()),
    ("MapOidJson", 1, object()),
    ("MapOidJson", 1, float("nan")),
    ("MapOidUuidSet", 1, "text"),
    ("MapOidNumpy", 1, [1, 2]),
    ("MapOidNumpy", 1, np.array([object()])),
]


def contents(db: zlmdb.Database) -> list[tuple[bytes, bytes]]:
    with db.begin() as txn:
        return [(bytes(key), bytes(value)) for key, value in txn.cursor()]


@pytest.mark.parametrize(("name", "key", "value"), CASES, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(CASES)])
def test_a_wrong_key_or_value_is_refused_by_every_write_and_changes_nothing(
    db: zlmdb.Database, name: str, key: object, value: object
) -> None:
    table = getattr(zlmdb, name)(7)
    before = contents(db)
    writes = [
        lambda txn: table.__setitem__((txn, key), value),
        lambda txn: table.put_many(txn, [(key, value)]),
        lambda txn: table.plan_put(key, value, db.max_key_size),
    ]
    if not isinstance(table, zlmdb.SetMap):
        writes += [lambda txn: table.insert(txn, key, value), lambda txn: table.setdefault((txn, key), value)]
    with db.begin(write=True) as txn:
        for write in writes:
            with pytest.raises(errors.DataError) as caught:
                write(txn)
            assert name in caught.value.where
            assert "slot 7" in caught.value.where
            assert caught.value.has_got
            assert caught.value.expected
    assert contents(db) == before


def test_a_key_too_long_names_map_size_and_limit(db: zlmdb.Database) -> None:
    table = zlmdb.MapStringString(9)
    with db.begin(write=True) as txn:
        table[txn, "k" * (db.max_key_size - 2)] = "fits"
        with pytest.raises(errors.KeyTooLong) as caught:
            table[txn, "k" * (db.max_key_size - 1)] = "does not"
        assert (caught.value.map, caught.value.size) == ("MapStringString", db.max_key_size + 1)
        assert caught.value.limit == db.max_key_size
        assert table[txn, "k" * 5000] is None  # reading what cannot be there finds nothing
        assert (txn, "k" * 5000) not in table


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("MapStringUuid", b"short"),
        ("MapStringString", b"\xff\xfe"),
        ("MapStringCbor", b"\xa1"),
        ("MapStringCbor", b"\x1c"),
        ("MapStringJson", b"{"),
        ("MapStringOid", b"123"),
        ("MapStringNumpy", b"\x93NUMPY"),
        ("MapStringTimestamp", b""),
    ],
)
def test_bytes_on_disk_that_cannot_be_decoded_name_map_slot_and_key(db: zlmdb.Database, name: str, raw: bytes) -> None:
    table = getattr(zlmdb, name)(8)
    with db.begin(write=True) as txn:
        txn.put(b"\0\x08bad", raw)
        for read in (lambda: table[txn, "bad"], lambda: list(table.select(txn)), lambda: table.bound(txn)["bad"]):
            with pytest.raises(errors.DecodeError) as caught:
                read()
            assert (caught.value.map, caught.value.slot, caught.value.key) == (name, 8, "bad")
    with db.begin() as txn, pytest.raises(errors.DecodeError) as caught:
        list(table.select(txn))
    assert caught.value.key == "bad"


def test_a_key_on_disk_that_cannot_be_decoded_is_named(db: zlmdb.Database) -> None:
    table = zlmdb.MapUuidString(8)
    with db.begin(write=True) as txn:
        table[txn, U] = "fine"
        txn.put(b"\0\x08\xff\xff", b"text")
    with db.begin() as txn:
        with pytest.raises(errors.DecodeError) as caught:
            list(table.select(txn))
        assert (caught.value.slot, caught.value.key) == (8, b"\xff\xff")


def test_an_error_of_the_users_own_functions_is_chained_and_names_the_map(db: zlmdb.Database) -> None:
    def fail(_: object) -> object:
        raise ZeroDivisionError

    table = zlmdb.MapOidCbor(8, marshal=fail, parse=fail)
    with db.begin(write=True) as txn:
        with pytest.raises(errors.EncodeError) as encoding:
            table[txn, 1] = 1
        txn.put(b"\0\x08" + bytes(8), b"\x01")
        with pytest.raises(errors.DecodeError) as decoding:
            table[txn, 0]
    for caught in (encoding, decoding):
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert "slot 8" in str(caught.value)


@pytest.mark.parametrize("item", [5, "text", None, (1, 2), ("a", "b", "c"), ()])
def test_a_subscript_that_is_no_transaction_and_key_is_refused(item: object) -> None:
    table = zlmdb.MapOidOid(8)
    for use in (
        lambda: table[item],
        lambda: table.__setitem__(item, 1),
        lambda: item in table,
        lambda: table.get(item),
    ):
        with pytest.raises(errors.WrongType) as caught:
            use()
        assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("call", ["select", "count", "truncate", "bound"])
def test_a_range_without_a_transaction_is_refused(call: str) -> None:
    with pytest.raises(errors.WrongType):
        getattr(zlmdb.MapOidOid(8), call)("no transaction")


def test_a_map_that_is_not_attached_is_refused(db: zlmdb.Database) -> None:
    table = zlmdb.MapOidOid()
    with db.begin(write=True) as txn:
        for use in (lambda: table[txn, 1], lambda: table.__setitem__((txn, 1), 1), lambda: table.select(txn)):
            with pytest.raises(errors.NotAttached):
                use()


def test_a_map_of_another_database_is_refused(tmp_path: Path) -> None:
    @zlmdb.table("6d4f7cde-2f9a-44d1-a9d3-0d8b8a9f1234")
    class Table(zlmdb.MapOidOid): ...

    with zlmdb.Database(tmp_path / "one") as one, zlmdb.Database(tmp_path / "two") as two:
        table = one.attach_table(Table)
        with two.begin(write=True) as txn:
            for use in (lambda: table[txn, 1], lambda: table.__setitem__((txn, 1), 1), lambda: table.select(txn)):
                with pytest.raises(errors.WrongDatabase):
                    use()
    with zlmdb.Database(tmp_path / "one") as one, one.begin(write=True) as txn:
        table[txn, 1] = 2  # the same file, opened again
        assert table[txn, 1] == 2


@pytest.mark.parametrize(
    "declare",
    [
        lambda: zlmdb.MapOidOid(0),
        lambda: zlmdb.MapOidOid(65536),
        lambda: zlmdb.MapOidOid("1"),
        lambda: zlmdb.MapOidOid(True),
        lambda: zlmdb.MapOidFlatBuffers(1),
        lambda: zlmdb.MapOidCbor(1, None, len, len, len),
        lambda: zlmdb.MapOidCbor(1, compress=7),
        lambda: zlmdb.table("no uuid"),
        lambda: zlmdb.table(str(U), build=len),
        lambda: zlmdb.table(str(U), parse=len),
        lambda: zlmdb.table(str(U), marshal=len, parse=len, build=len, cast=len),
        lambda: zlmdb.table(str(U))(5),
    ],
)
def test_a_wrong_declaration_is_refused(declare) -> None:
    with pytest.raises((errors.TableDeclaration, errors.WrongValue)):
        declare()


@pytest.mark.parametrize(
    ("large", "unit"),
    [("x" * (1 << 24), "characters"), (bytes(1 << 24), "bytes"), (bytearray(1 << 24), "bytes")],
    ids=["str", "bytes", "bytearray"],
)
def test_a_message_repeats_the_beginning_of_a_large_value_and_does_not_make_text_of_all_of_it(
    large: str | bytes | bytearray, unit: str
) -> None:
    error = errors.WrongValue("too much", got=large)
    tracemalloc.start()
    try:
        text = str(error)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text.endswith(f"… ({1 << 24} {unit})")
    assert len(text) < 300
    assert most < 100_000, "bytes"
    assert error.got is large
