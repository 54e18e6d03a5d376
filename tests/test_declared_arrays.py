# SPDX-License-Identifier: MIT
"""Tables of arrays: of any dtype and shape, or of declared ones, which are stored without a header."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import zlmdb
from zlmdb.codecs import value_codec
from zlmdb.errors import DecodeError, WrongType, WrongValue

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
Points = np.ndarray[tuple[int, Literal[3]], np.dtype[np.float32]]
Embedding = np.ndarray[tuple[Literal[4]], np.dtype[np.float32]]


@given(hnp.arrays(np.float64, st.integers(0, 20)))
def test_vectors_come_back_and_are_stored_as_their_elements_alone(array: Any) -> None:
    codec = value_codec("Numpy", record=Vector)
    stored = bytes(codec.encode(array))
    assert stored == array.astype("<f8").tobytes()
    np.testing.assert_array_equal(codec.decode(stored), array)


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 9), st.just(3))))
def test_rows_of_a_declared_width_come_back_with_their_shape(array: Any) -> None:
    codec = value_codec("Numpy", record=Points)
    found = codec.decode(bytes(codec.encode(array)))
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


def test_an_array_that_is_not_contiguous_is_stored_in_c_order() -> None:
    codec = value_codec("Numpy", record=Points)
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T[:, ::-1]
    assert array.shape == (4, 3)
    np.testing.assert_array_equal(codec.decode(bytes(codec.encode(array))), array)


@pytest.mark.parametrize(
    ("record", "array", "error"),
    [
        (Vector, [1.0], WrongType),
        (Vector, np.zeros(3, np.float32), WrongType),
        (Vector, np.zeros(3, ">f8"), WrongType),
        (Vector, np.ma.zeros(3), WrongType),
        (Vector, np.zeros((3, 1)), WrongValue),
        (Points, np.zeros((2, 4), np.float32), WrongValue),
        (Embedding, np.zeros(5, np.float32), WrongValue),
    ],
)
def test_an_array_of_another_type_is_refused(record: Any, array: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="array"):
        value_codec("Numpy", record=record).encode(array)


@pytest.mark.parametrize(("record", "data"), [(Vector, b"1234567"), (Points, b"1234" * 4), (Embedding, b"1234" * 3)])
def test_bytes_of_another_length_are_refused(record: Any, data: bytes) -> None:
    with pytest.raises(DecodeError, match="length"):
        value_codec("Numpy", record=record).decode(data)


@pytest.mark.parametrize(
    "record", [None, NDArray[np.float64], np.ndarray[tuple[int], np.dtype[np.floating[Any]]], np.ndarray]
)
def test_arrays_whose_type_is_left_open_describe_themselves(record: Any) -> None:
    codec = value_codec("Numpy", record=record)
    assert codec.name == "Numpy"
    for array in (np.arange(3), np.zeros((2, 0)), np.array("2020-01-01", "M8[s]")):
        found = codec.decode(codec.encode(array))
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found, array)


def test_the_file_remembers_the_declared_type(tmp_path: Any) -> None:
    @zlmdb.table("b7a0a3e4-6d9c-4d5e-9d63-3f0c1a2b0001")
    class Vectors(zlmdb.MapUint64Numpy[Vector]): ...

    @zlmdb.table("b7a0a3e4-6d9c-4d5e-9d63-3f0c1a2b0001")
    class Embeddings(zlmdb.MapUint64Numpy[Embedding]): ...

    with zlmdb.Database(str(tmp_path)) as db:
        vectors = db.attach_table(Vectors)
        with db.begin(write=True) as txn:
            vectors[txn, 1] = np.arange(4.0)
        with pytest.raises(zlmdb.errors.SchemaError):
            db.attach_table(Embeddings)
        with db.begin() as txn:
            np.testing.assert_array_equal(vectors[txn, 1], np.arange(4.0))
            np.testing.assert_array_equal(next(vectors.select(txn))[1], np.arange(4.0))


def test_an_array_that_was_read_stays_valid_and_is_not_writable(tmp_path: Any) -> None:
    vectors = zlmdb.MapUint64Numpy[Vector](1)
    anything = zlmdb.MapUint64Numpy(2)
    with zlmdb.Database(str(tmp_path)) as db:
        with db.begin(write=True) as txn:
            vectors[txn, 1] = anything[txn, 1] = np.arange(1000.0)
        with db.begin() as txn:
            found = [vectors[txn, 1], anything[txn, 1]]
        with db.begin(write=True) as txn:
            vectors[txn, 1] = anything[txn, 1] = np.zeros(1000)
    for array in found:
        np.testing.assert_array_equal(array, np.arange(1000.0))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        array.copy()[0] = 1


def test_a_planned_write_keeps_the_elements_as_they_were(tmp_path: Any) -> None:
    vectors = zlmdb.MapUint64Numpy[Vector](1)
    array = np.arange(3.0)
    with zlmdb.Database(str(tmp_path)) as db:
        plan = vectors.plan_put(1, array, 500)
        array[:] = -1
        with db.begin(write=True) as txn:
            plan(txn)
        with db.begin() as txn:
            np.testing.assert_array_equal(vectors[txn, 1], [0, 1, 2])


def test_an_open_map_reads_what_a_view_was_made_of_in_compressed_tables(tmp_path: Any) -> None:
    vectors = zlmdb.MapUint64Numpy[Vector](1, compress="zlib")
    with zlmdb.Database(str(tmp_path)) as db, db.begin(write=True) as txn:
        vectors[txn, 1] = np.arange(3.0)
        np.testing.assert_array_equal(vectors[txn, 1], [0, 1, 2])
