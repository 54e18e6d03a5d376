# SPDX-License-Identifier: MIT
"""Keys and values of a range are decoded in bulk, and what cannot be read is named all the same."""

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors

uuids = st.uuids()
stamps = st.integers(0, 2**63 - 1).map(lambda ns: np.datetime64(ns, "ns"))
oids = st.integers(0, 2**53)
bytes20 = st.binary(min_size=20, max_size=20)
KINDS = {
    "TimestampUuid": st.tuples(stamps, uuids),
    "UuidTimestamp": st.tuples(uuids, stamps),
    "UuidTimestampUuid": st.tuples(uuids, stamps, uuids),
    "OidOid": st.tuples(oids, oids),
    "OidTimestamp": st.tuples(oids, stamps),
    "UuidBytes20Uint8": st.tuples(uuids, bytes20, st.integers(0, 255)),
    "TimestampTimestamp": st.tuples(stamps, stamps),
    "TimestampUuidString": st.tuples(stamps, uuids, st.text(max_size=3)),
    "Timestamp": stamps,
    "Uuid": uuids,
}
OID = UUID(int=7)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):
    with zlmdb.Database(tmp_path_factory.mktemp("decoding"), sync=False) as db:
        yield db


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_keys_come_out_as_they_went_in_however_many_there_are(database, kind: str, data) -> None:
    table = getattr(zlmdb, f"Map{kind}Oid")(10)
    keys = sorted(data.draw(st.lists(KINDS[kind], max_size=20, unique=True)))
    with database.begin(write=True) as txn:
        table.truncate(txn)
        table.put_many(txn, [(key, 0) for key in keys])
        assert list(table.select(txn, return_values=False)) == keys  # one by one
    with database.begin() as txn:
        found = list(table.select(txn, return_values=False))
        assert found == keys  # in columns
        assert [key for key, _ in table.select(txn, reverse=True)] == keys[::-1]
        assert all(
            type(part) is type(whole) for row, key in zip(found, keys, strict=True) for part, whole in _parts(row, key)
        )


def _parts(found: object, key: object) -> list:
    return list(zip(found, key, strict=True)) if isinstance(key, tuple) else [(found, key)]


@pytest.mark.parametrize(
    "name", ["MapTimestampUuidOid", "MapUuidTimestampOid", "MapTimestampTimestampOid", "MapUuidUuidOid"]
)
@pytest.mark.parametrize("records", [1, 50])
@pytest.mark.parametrize("missing", [1, 7, 8, 15])
def test_a_key_of_another_length_is_an_error_that_names_it(
    tmp_path: Path, name: str, records: int, missing: int
) -> None:
    table = getattr(zlmdb, name)(10)
    whole = table.key_codec.size
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        with db.begin(write=True) as txn:
            for number in range(records):
                txn.put(b"\0\x0a" + number.to_bytes(whole, "big"), b"\0" * 8)
            txn.put(b"\0\x0a" + b"\x01" * (whole - missing), b"\0" * 8)
            txn.put(b"\0\x0a" + b"\x02" * (whole + missing), b"\0" * 8)  # all lengths together are as they should be
        with db.begin() as txn, pytest.raises(errors.DecodeError) as caught:
            list(table.select(txn, return_values=False))
        assert table.title in str(caught.value)
        assert caught.value.slot == 10


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("keys", [False, True])
def test_the_records_before_one_that_cannot_be_read_come_out_first(database, write: bool, keys: bool) -> None:
    table = zlmdb.MapOidCbor(11)
    with database.begin(write=True) as txn:
        table.truncate(txn)
        table.put_many(txn, [(number, number) for number in range(30)])
        txn.put(b"\0\x0b" + (20).to_bytes(8, "big"), b"\x9f no cbor")
    with database.begin(write=write) as txn:
        rows, seen = table.select(txn, return_keys=keys), []
        with pytest.raises(errors.DecodeError) as caught:
            seen.extend(rows)
        assert len(seen) == 20
        assert (caught.value.map, caught.value.slot, caught.value.key) == ("MapOidCbor", 11, 20)
        rows = table.select(txn, return_keys=keys, reverse=True)
        assert [next(rows) for _ in range(9)][-1] == ((21, 21) if keys else 21)
        with pytest.raises(errors.DecodeError, match="key 20"):
            next(rows)
