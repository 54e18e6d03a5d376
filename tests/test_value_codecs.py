# SPDX-License-Identifier: MIT
"""Value codecs: they give back what they took, and damaged bytes give a DecodeError."""

from __future__ import annotations

import json
import pickle
import zlib
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.codec_samples import PART_KEYS, TS, VALUE_EXAMPLES, U, comparable
from zlmdb.codecs import OID, STRING, UUID, VALUE_NAMES, set_member, value_codec
from zlmdb.errors import DecodeError, MissingDependency, TableDeclaration, WrongType, WrongValue

KINDS = [*sorted(VALUE_NAMES - {"FlatBuffers"}), "StringSet", "Bytes20Timestamp"]
CODECS = {name: value_codec(name) for name in KINDS}
CODECS |= {f"{name}+zlib": value_codec(name, compress="zlib") for name in ("Cbor", "Json", "Bytes", "Numpy", "UuidSet")}

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_cbor = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.uuids(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **PART_KEYS,
    "Bytes20Timestamp": st.tuples(PART_KEYS["Bytes20"], PART_KEYS["Timestamp"]),
    "UuidSet": st.sets(PART_KEYS["Uuid"], max_size=40),
    "OidSet": st.sets(PART_KEYS["Oid"], max_size=40),
    "Json": _json,
    "Cbor": _cbor,
    "Pickle": _json,
}


@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"Slot"}))
@given(data=st.data())
def test_a_value_comes_back(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[name])
    for codec in (value_codec(name), value_codec(name, compress=1)):
        assert comparable(codec.decode(codec.encode(value))) == value


@pytest.mark.parametrize("name", sorted(CODECS))
@given(data=st.binary(max_size=60))
def test_random_bytes_give_a_value_or_a_decode_error(name: str, data: bytes) -> None:
    try:
        CODECS[name].decode(data)
    except DecodeError as error:
        assert error.has_got  # noqa: PT017 (both outcomes are right)


@pytest.mark.parametrize(("name", "value", "stored"), VALUE_EXAMPLES)
@given(data=st.data())
def test_damaged_values_give_a_value_or_a_decode_error(name: str, value: Any, stored: str, data: st.DataObject) -> None:
    raw = bytearray(bytes.fromhex(stored) or b"\0")
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        value_codec(name).decode(damaged)
    except DecodeError as error:
        assert error.expected  # noqa: PT017 (both outcomes are right)


# --- documents ---------------------------------------------------------------------------------------


@given(_cbor)
def test_plain_cbor_has_the_bytes_of_cbor2(value: Any) -> None:
    assert value_codec("Cbor").encode(value) == cbor2.dumps(value)


@given(_json)
def test_plain_json_has_the_bytes_of_json(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert value_codec("Json").encode(value) == text.encode()


@pytest.mark.parametrize(
    "item",
    [cbor2.CBORTag(27, ["a", 1]), cbor2.CBORTag(27, ["my.Thing", {"x": [1]}]), cbor2.CBORTag(9999, [{"a": [1]}])],
)
def test_other_tags_decode_as_cbor2_decodes_them(item: Any) -> None:
    stored = cbor2.dumps([item])
    assert value_codec("Cbor").decode(stored) == cbor2.loads(stored)
    assert type(value_codec("Cbor").decode(stored)[0].value) is tuple


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Json", float("nan")),
        ("Json", float("inf")),
        ("Json", "\ud800"),
        ("Json", b"bytes"),
        ("Json", object()),
        ("Json", {("a", "b"): 1}),
        ("Cbor", object()),
        ("Cbor", "\ud800"),
        ("Cbor", np.datetime64(1, "ns")),
        ("Pickle", lambda: None),
        ("Bytes", "text"),
        ("UuidSet", {"text"}),
        ("OidSet", [1]),
        ("StringSet", set()),
        ("StringSet", {"a\0b"}),
    ],
)
def test_what_a_kind_cannot_hold_is_refused(name: str, value: Any) -> None:
    with pytest.raises((WrongType, WrongValue)) as caught:
        value_codec(name).encode(value)
    assert caught.value.has_got
    assert caught.value.expected


def test_cyclic_documents_are_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    for name in ("Json", "Cbor"):
        with pytest.raises(WrongValue):
            value_codec(name).encode(cycle)


def test_documents_nested_too_deeply_are_refused() -> None:
    with pytest.raises(DecodeError):
        value_codec("Json").decode(b"[" * 100_000)
    with pytest.raises(DecodeError):
        value_codec("Cbor").decode(b"\x81" * 100_000)


def test_nan_in_existing_json_is_read() -> None:
    assert str(value_codec("Json").decode(b'{"a":NaN}')["a"]) == "nan"


def test_the_pickle_of_a_class_that_is_gone_is_a_decode_error() -> None:
    with pytest.raises(DecodeError):
        value_codec("Pickle").decode(pickle.dumps(U, 2).replace(b"uuid", b"gone"))


# --- hooks -------------------------------------------------------------------------------------------


def test_marshal_and_unmarshal_stand_between_value_and_document() -> None:
    for name in ("Json", "Cbor"):
        codec = value_codec(name, marshal=lambda value: {"n": value}, unmarshal=lambda plain: plain["n"])
        assert codec.decode(codec.encode(5)) == 5


def test_errors_of_hooks_come_out_as_they_are() -> None:
    def fail(value: Any) -> Any:
        raise LookupError("mine")

    for name in ("Json", "Cbor"):
        codec = value_codec(name, marshal=fail, unmarshal=fail)
        with pytest.raises(LookupError, match="mine"):
            codec.encode(1)
        with pytest.raises(LookupError, match="mine"):
            codec.decode(value_codec(name).encode(1))


def test_one_hook_alone_is_a_wrong_declaration() -> None:
    for hooks in [{"marshal": str}, {"unmarshal": str}]:
        with pytest.raises(TableDeclaration):
            value_codec("Cbor", **hooks)  # type: ignore[arg-type]
    with pytest.raises(TableDeclaration):
        value_codec("FlatBuffers", build=lambda value, builder: 0)
    with pytest.raises(TableDeclaration):
        value_codec("Uuid", marshal=str, unmarshal=str)
    with pytest.raises(TableDeclaration):
        value_codec("Uuid", build=str, cast=str)


# --- compression -------------------------------------------------------------------------------------


def test_a_compressed_value_is_a_zlib_stream_and_its_codec_says_so() -> None:
    codec = value_codec("String", compress=1)
    assert codec.name == "String+zlib"
    assert codec.encode("ab") == zlib.compress(b"ab")
    assert codec.decode(bytes.fromhex("789c4b4c0200012600c4")) == "ab"
    assert not codec.views


@pytest.mark.parametrize("compress", [None, False, 0])
def test_no_compression_changes_nothing(compress: Any) -> None:
    assert value_codec("String", compress=compress).encode("ab") == b"ab"


@pytest.mark.parametrize("compress", [True, 3, "lz4", 1.0, [1], b"zlib"])
def test_an_unknown_compression_is_refused(compress: Any) -> None:
    with pytest.raises(WrongValue, match="zlib"):
        value_codec("String", compress=compress)


def test_snappy_needs_its_library() -> None:
    try:
        codec = value_codec("String", compress="snappy")
    except MissingDependency as error:
        assert "pip install python-snappy" in str(error)  # noqa: PT017 (either is right, as installed)
    else:
        assert codec.decode(codec.encode("ab" * 99)) == "ab" * 99


@pytest.mark.parametrize("data", [b"", b"ab", zlib.compress(b"ab")[:-1], zlib.compress(b"ab") + b"x"])
def test_damaged_compressed_data_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        value_codec("String", compress="zlib").decode(data)


# --- sets --------------------------------------------------------------------------------------------


def test_packed_sets_come_back_whole_and_uneven_ones_are_refused() -> None:
    members = set(range(1000))
    codec = value_codec("OidSet")
    assert codec.decode(codec.encode(members)) == members
    assert codec.decode(b"") == set()
    for name in ("OidSet", "UuidSet"):
        with pytest.raises(DecodeError):
            value_codec(name).decode(bytes(17))


def test_set_kinds_name_their_members() -> None:
    assert set_member("UuidSet") is UUID
    assert set_member("OidSet") is OID
    assert set_member("StringSet") is STRING
    assert set_member("Uuid") is None


# --- arrays ------------------------------------------------------------------------------------------

_dtypes = (
    hnp.scalar_dtypes()
    | hnp.byte_string_dtypes()
    | hnp.unicode_string_dtypes()
    | hnp.array_dtypes(allow_subarrays=True)
)


@given(_dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))))
def test_an_array_keeps_dtype_shape_and_bytes(array: Any) -> None:
    codec = value_codec("Numpy")
    array = np.asarray(array)
    for data in (codec.encode(array), memoryview(codec.encode(array))):
        back = codec.decode(data)  # type: ignore[arg-type]
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()


def test_a_padded_dtype_is_kept() -> None:
    array = np.ones((2,), np.dtype([("a", "<i2"), ("b", ">f8", (2,))], align=True))
    back = value_codec("Numpy").decode(value_codec("Numpy").encode(array))
    assert back.dtype == array.dtype
    assert (back["b"] == array["b"]).all()


def test_arrays_are_read_only_and_look_into_what_was_read() -> None:
    codec = value_codec("Numpy")
    data = codec.encode(np.arange(6, dtype=">i4").reshape(2, 3))
    for source in (data, memoryview(bytearray(data))):
        view = codec.decode(source)  # type: ignore[arg-type]
        assert not view.flags.writeable
        assert not view.flags.owndata
        assert view.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert codec.views


def test_a_fortran_array_and_a_slice_are_stored_in_c_order() -> None:
    codec = value_codec("Numpy")
    for array in (np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(20)[::3]):
        back = codec.decode(codec.encode(array))
        assert back.flags.c_contiguous
        assert (back == array).all()


@pytest.mark.parametrize(
    "value",
    [np.array([object()]), np.ma.masked_array([1, 2], [0, 1]), [1, 2], np.float64(1), None, np.zeros(1, [("a", "O")])],
)
def test_what_is_no_plain_array_is_refused(value: Any) -> None:
    with pytest.raises(WrongType):
        value_codec("Numpy").encode(value)


@given(st.data())
def test_a_damaged_array_gives_an_array_or_a_decode_error(data: st.DataObject) -> None:
    codec = value_codec("Numpy")
    raw = bytearray(codec.encode(np.zeros((2, 3), [("a", "<i2"), ("b", "S3")])))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(codec.decode(bytes(raw)), np.ndarray)
    except DecodeError as error:
        assert error.expected  # noqa: PT017 (both outcomes are right)


def test_timestamps_as_values_are_datetime64() -> None:
    assert value_codec("Timestamp").decode(value_codec("Timestamp").encode(TS)) == TS
