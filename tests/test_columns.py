# SPDX-License-Identifier: MIT
"""Ranges as columns: NumPy arrays, pandas frames, Arrow tables."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import attrs
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors
from zlmdb.codecs.flatbuffers import STRING, TIMESTAMP, U64, UUID_BYTES, FlatRecord, flat


@dataclass
class Reading:
    sensor: UUID
    place: str
    number: int
    value: float
    valid: bool
    raw: bytes
    note: str | None = None
    repeat: int | None = None
    tags: list[str] = field(default_factory=list)


@attrs.define
class Point:
    x: int
    _y: float = 0.0


class Flat(FlatRecord):
    oid: UUID | None = flat(UUID_BYTES)
    at: int | None = flat(TIMESTAMP)
    name: str | None = flat(STRING)
    number: int | None = flat(U64)


class Old:
    def __init__(self, name: str) -> None:
        self.name = name

    def marshal(self) -> dict:
        return {"name": self.name}

    @staticmethod
    def parse(data: dict) -> "Old":
        return Old(data["name"])


readings = zlmdb.MapTimestampUuidCbor[Reading](10)
loose = zlmdb.MapOidCbor(11)
points = zlmdb.MapUint16StringCbor[Point](12)
matrices = zlmdb.MapOidNumpy(13)
times = zlmdb.MapStringTimestamp(14)
flats = zlmdb.MapUint64FlatBuffers(15, build=Flat.build, cast=Flat.cast)
olds = zlmdb.MapOidCbor[Old](16)
identities = zlmdb.MapBytes20Uuid(17)

OID = UUID("00000000-0000-0000-0000-000000000100")  # ends in a zero byte, which NumPy's own bytes would drop


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zlmdb.Database]:
    with zlmdb.Database(tmp_path_factory.mktemp("columns"), sync=False) as db:
        yield db


@pytest.fixture
def txn(database: zlmdb.Database) -> Iterator[zlmdb.Transaction]:
    with database.begin(write=True) as txn:
        for table in (readings, loose, points, matrices, times, flats, olds, identities):
            table.truncate(txn)
        yield txn


def reading(number: int, **changes) -> Reading:
    given = {"note": None, "repeat": None, **changes}
    return Reading(OID, "here", number, number / 2, number % 2 == 0, b"\0", **given)


def loosely(txn: zlmdb.Transaction, *values: object) -> np.ndarray:
    """The column that these values make in an untyped table."""
    loose.truncate(txn)
    loose.put_many(txn, enumerate({"a": value} for value in values))
    return loose.arrays(txn)["a"]


# --- arrays


def test_keys_and_fields_come_as_columns_of_sensible_dtypes(txn) -> None:
    for number in range(3):
        readings[txn, (np.datetime64(number, "ns"), OID)] = reading(number, repeat=number)
    arrays = readings.arrays(txn)
    assert {name: array.dtype.str for name, array in arrays.items()} == {
        "key0": "<M8[ns]",
        "key1": "|O",
        "sensor": "|O",
        "place": "|O",
        "number": "<i8",
        "value": "<f8",
        "valid": "|b1",
        "raw": "|O",
        "note": "|O",
        "repeat": "<i8",
        "tags": "|O",
    }
    assert arrays["key0"].tolist() == [0, 1, 2]
    assert arrays["key1"].tolist() == arrays["sensor"].tolist() == [OID] * 3
    assert arrays["value"].tolist() == [0.0, 0.5, 1.0]
    assert arrays["note"].tolist() == [None] * 3
    assert arrays["tags"].tolist() == [[]] * 3


def test_an_empty_range_has_the_columns_that_the_class_declares(txn) -> None:
    readings[txn, (np.datetime64(0, "ns"), OID)] = reading(0, repeat=1)
    full, empty = readings.arrays(txn), readings.arrays(txn, limit=0)
    assert {name: array.dtype for name, array in empty.items()} == {name: array.dtype for name, array in full.items()}
    assert all(len(array) == 0 for array in empty.values())
    assert list(times.arrays(txn)) == ["key", "value"]
    assert list(loose.arrays(txn)) == ["key"]


def test_bounds_prefix_limit_and_fields_choose_what_is_read(txn) -> None:
    for number in range(4):
        for name in "ab":
            points[txn, (number, name)] = Point(number, 0.5)
    assert points.arrays(txn, (1,), (3,), fields=["x"])["x"].tolist() == [1, 1, 2, 2]
    assert points.arrays(txn, prefix=(2,))["key1"].tolist() == ["a", "b"]
    assert points.arrays(txn, limit=3)["key0"].tolist() == [0, 0, 1]
    assert list(points.arrays(txn, fields=[])) == ["key0", "key1"]
    assert list(points.arrays(txn, fields=["_y"], key_names=["n", "name"])) == ["n", "name", "_y"]


def test_keys_alone_are_read_without_decoding_values(txn) -> None:
    txn.put(b"\0\x0b" + (1).to_bytes(8, "big"), b"no cbor \xff")
    assert loose.arrays(txn, fields=[])["key"].tolist() == [1]
    with pytest.raises(errors.DecodeError, match="slot 11"):
        loose.arrays(txn)


def test_numbers_never_change_on_their_way_into_a_column(txn) -> None:
    large = 2**53 + 1
    cases = [
        ((1, 2), "int64"),
        ((1, None), "float64"),
        ((1, 0.5), "float64"),
        ((0.5, None), "float64"),
        ((2**63, 1), "uint64"),
        ((2**63, -1), "object"),
        ((2**64, 1), "object"),
        ((large, None), "object"),
        ((large, 0.5), "object"),
        ((-large, 0.5), "object"),
        ((True, False), "bool"),
        ((True, None), "object"),
        ((True, 1), "object"),
        (("a", None), "object"),
        ((None, None), "object"),
    ]
    for values, dtype in cases:
        column = loosely(txn, *values)
        assert column.dtype == dtype, values
        assert [None if item != item else item for item in column.tolist()] == list(values)


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), max_size=20))
def test_a_column_of_any_mixture_holds_the_same_values(database, values: list) -> None:
    with database.begin(write=True) as txn:
        column = loosely(txn, *values) if values else np.empty(0)
        assert [None if item != item else item for item in column.tolist()] == values


def test_dtypes_do_not_depend_on_where_batches_end(txn) -> None:
    values = [1] * 5000 + [None] + [2.5] * 5000
    column = loosely(txn, *values)
    assert column.dtype == "float64"
    np.testing.assert_array_equal(column, np.array(values, float))
    assert loosely(txn, *[1] * 5000, *["a"] * 5000).tolist() == [1] * 5000 + ["a"] * 5000
    assert loosely(txn, *[1] * 5000, *[2**63] * 5000).dtype == "uint64"
    assert loosely(txn, *[-1] * 5000, *[2**63] * 5000).tolist() == [-1] * 5000 + [2**63] * 5000


def test_fields_that_only_some_dicts_have_are_none_in_the_others(txn) -> None:
    loose.put_many(txn, [(1, {"a": 1}), (2, {"b": "x"}), (3, {"a": 3, "b": "y"})])
    arrays = loose.arrays(txn)
    assert arrays["b"].tolist() == [None, "x", "y"]
    np.testing.assert_array_equal(arrays["a"], [1, np.nan, 3])
    assert loose.arrays(txn, fields=["c"])["c"].tolist() == [None] * 3


def test_single_values_stand_under_value(txn) -> None:
    times.put_many(txn, [("a", np.datetime64(1, "s")), ("b", 5)])
    identities[txn, b"\0" * 20] = OID
    loose.put_many(txn, [(1, 5), (2, 6)])
    assert times.arrays(txn)["value"].astype("int64").tolist() == [10**9, 5]
    assert identities.arrays(txn)["value"].tolist() == [OID]
    assert identities.arrays(txn)["key"].tolist() == [b"\0" * 20]
    assert loose.arrays(txn)["value"].tolist() == [5, 6]


def test_arrays_of_one_shape_are_stacked_and_others_are_objects(txn) -> None:
    for number in range(3):
        matrices[txn, number] = np.full((2, 3), number, "float32")
    stacked = matrices.arrays(txn)["value"]
    assert (stacked.shape, stacked.dtype) == ((3, 2, 3), np.dtype("float32"))
    assert stacked[2].tolist() == [[2.0] * 3] * 2
    matrices[txn, 3] = np.arange(2)
    mixed = matrices.arrays(txn)["value"]
    assert mixed.dtype == object
    assert [item.shape for item in mixed] == [(2, 3)] * 3 + [(2,)]


def test_columns_outlive_a_transaction_of_views(database) -> None:
    blobs = zlmdb.MapOidBytes(20)
    with database.begin(write=True) as txn:
        matrices.truncate(txn)
        blobs[txn, 1], matrices[txn, 1] = b"one", np.arange(4)
    with database.begin(buffers=True) as txn:
        columns = blobs.arrays(txn), matrices.arrays(txn, fields=["value"])
    with database.begin(write=True) as txn:
        blobs.truncate(txn)
        matrices.truncate(txn)
    assert columns[0]["value"].tolist() == [b"one"]
    assert columns[1]["value"].tolist() == [[0, 1, 2, 3]]


def test_flat_records_and_plain_classes_have_columns(txn) -> None:
    flats[txn, 2**63] = Flat(oid=OID, at=7, name="n", number=2**63)
    arrays = flats.arrays(txn)
    assert arrays["key"].dtype == arrays["number"].dtype == "uint64"
    assert arrays["at"].tolist() == [7]
    assert flats.arrays(txn, fields=["name"])["name"].tolist() == ["n"]
    olds[txn, 1] = Old("joe")
    assert olds.arrays(txn)["name"].tolist() == ["joe"]


def test_faulty_names_are_errors_that_name_the_map(txn) -> None:
    readings[txn, (np.datetime64(1, "ns"), OID)] = reading(1)
    loose.put_many(txn, [(1, {"key": 1}), (2, 5)])
    faulty = [
        (readings, {"fields": ["nothing"]}),
        (readings, {"fields": "place"}),
        (readings, {"key_names": ["a"]}),
        (readings, {"key_names": ["a", "a"]}),
        (readings, {"key_names": "ab"}),
        (readings, {"key_names": ["place", "x"]}),
        (readings, {"limit": -1}),
        (loose, {"limit": 1}),
        (loose, {"key_names": ["k"]}),
    ]
    for table, options in faulty:
        with pytest.raises(errors.ConfigError) as caught:
            table.arrays(txn, **options)
        assert table.title in str(caught.value)
    with pytest.raises(errors.SchemaError):
        zlmdb.MapOidOidSet(21).arrays(txn)


def test_a_frame_takes_one_line(txn) -> None:
    for number in range(3):
        readings[txn, (np.datetime64(number, "ns"), OID)] = reading(number)
    frame = pd.DataFrame(readings.arrays(txn))
    assert frame["value"].mean() == 0.5
    assert frame["key0"].dtype == "datetime64[ns]"
    assert frame.set_index("key0")["place"].tolist() == ["here"] * 3


# --- Arrow

stamps = st.integers(0, 2**62).map(lambda ns: np.datetime64(ns, "ns"))
words = st.text(max_size=4)
records = st.builds(
    Reading,
    st.uuids(),
    words,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.binary(max_size=3),
    st.none() | words,
    st.none() | st.integers(-9, 9),
    st.lists(words, max_size=2),
)


def round_trip(txn, table, **options) -> None:
    before = list(table.select(txn))
    arrow = table.to_arrow(txn)
    table.truncate(txn)
    assert table.from_arrow(txn, arrow, **options) == len(before)
    assert list(table.select(txn)) == before


@given(rows=st.dictionaries(st.tuples(stamps, st.uuids()), records, max_size=8))
def test_records_come_back_from_arrow_as_they_were(database, rows: dict) -> None:
    with database.begin(write=True) as txn:
        readings.truncate(txn)
        readings.put_many(txn, rows.items())
        round_trip(txn, readings)


@given(st.data())
def test_single_values_come_back_from_arrow_as_they_were(database, data) -> None:
    with database.begin(write=True) as txn:
        for table, keys, values in (
            (times, words, stamps),
            (identities, st.binary(min_size=20, max_size=20), st.uuids()),
            (loose, st.integers(0, 99), st.integers(0, 2**64 - 1)),
            (points, st.tuples(st.integers(0, 9), words), st.builds(Point, st.integers(0, 9), st.floats(-9, 9))),
        ):
            table.truncate(txn)
            table.put_many(txn, data.draw(st.dictionaries(keys, values, max_size=5)).items())
            round_trip(txn, table)


def test_dicts_arrays_and_built_values_come_back_from_arrow(txn) -> None:
    loose.put_many(txn, [(1, {"a": 1, "b": OID}), (2, {"a": 2, "b": None})])
    round_trip(txn, loose)
    flats[txn, 1] = Flat(oid=OID, at=7, name="n", number=2**63)
    round_trip(txn, flats, make=Flat)
    matrices.put_many(txn, [(number, np.full((2, 3), number, "float32")) for number in range(3)])
    arrow = matrices.to_arrow(txn)
    matrices.truncate(txn)
    matrices.from_arrow(txn, arrow)
    assert matrices[txn, 2].dtype == "float32"
    assert matrices[txn, 2].tolist() == [[2.0] * 3] * 2


def test_an_arrow_table_has_types_that_others_understand(txn) -> None:
    readings[txn, (np.datetime64(1, "ns"), OID)] = reading(1)
    for table in (readings.to_arrow(txn), readings.to_arrow(txn, limit=0)):
        types = {name: str(table.schema.field(name).type) for name in table.column_names}
        assert types["key0"] == "timestamp[ns]"
        assert types["key1"] == types["sensor"] == "fixed_size_binary[16]"
        assert (types["place"], types["note"], types["raw"]) == ("string", "string", "binary")
        assert (types["number"], types["repeat"], types["value"], types["valid"]) == (*["int64"] * 2, "double", "bool")
    assert readings.to_arrow(txn)["repeat"].null_count == 1


def test_many_rows_are_one_statement_with_their_indexes(txn) -> None:
    table, index = zlmdb.MapOidCbor(30), zlmdb.MapStringOid(31)
    table.attach_index("name", index, lambda row: row["name"])
    numbers = list(range(10_000))
    rows = pa.table({"id": numbers, "name": [str(number) for number in numbers]})
    assert table.from_arrow(txn, rows, key="id") == 10_000
    assert table[txn, 9999] == {"name": "9999"}
    assert index.count(txn) == 10_000
    table.truncate(txn)
    twice = rows.set_column(1, "name", pa.array([str(number % 9999) for number in numbers]))
    with pytest.raises(errors.UniqueViolation):
        table.from_arrow(txn, twice, key=["id"])
    assert table.count(txn) == index.count(txn) == 0


def test_tables_that_do_not_fit_are_refused(txn) -> None:
    good = {"key": [1], "name": ["x"]}
    cases = [
        (loose, {"name": ["x"]}, {}),
        (loose, good, {"key": ["a", "b"]}),
        (matrices, good, {}),
        (zlmdb.MapOidCbor[Point](40), {"key": [1], "x": [1], "z": [1]}, {}),
        (zlmdb.MapOidCbor[Point](40), {"key": [1], "_y": [1.0]}, {}),
    ]
    for table, columns, options in cases:
        with pytest.raises(errors.ConfigError) as caught:
            table.from_arrow(txn, pa.table(columns), **options)
        assert table.title in str(caught.value)
    for wrong in ({"key": [1]}, None):
        with pytest.raises(errors.WrongType, match="MapOidCbor"):
            loose.from_arrow(txn, wrong)
    with pytest.raises(errors.WrongType, match="MapOidCbor"):
        loose.from_arrow(txn, pa.table({"key": ["text"], "name": ["x"]}))


def test_columns_of_mixed_types_have_no_arrow_form(txn) -> None:
    for values in ((1, "a"), (2**64, 1), (2**63, -1), ([1], "a")):
        loosely(txn, *values)
        with pytest.raises(errors.WrongValue, match="column 'a'"):
            loose.to_arrow(txn)


def test_a_missing_library_is_named_with_what_installs_it(txn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.MissingDependency, match=r"zlmdb\[arrow\]"):
        loose.to_arrow(txn)
    with pytest.raises(errors.MissingDependency, match=r"zlmdb\[arrow\]"):
        loose.from_arrow(txn, None)


def test_what_can_be_matched_by_position_limits_no_columns(db):
    class Pair:
        __match_args__ = ("x",)

        def __init__(self, x: int, y: int) -> None:
            self.x, self.y = x, y

        def marshal(self):
            return [self.x, self.y]

        @staticmethod
        def parse(plain):
            return Pair(*plain)

    pairs = zlmdb.MapOidCbor(9, marshal=Pair.marshal, unmarshal=Pair.parse)
    with db.begin(write=True) as txn:
        pairs[txn, 1] = Pair(2, 3)
        arrays = pairs.arrays(txn)
    assert {name: array.tolist() for name, array in arrays.items()} == {"key": [1], "x": [2], "y": [3]}
