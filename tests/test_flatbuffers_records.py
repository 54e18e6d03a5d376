# SPDX-License-Identifier: MIT
"""Flat records: the bytes of existing files in both directions, and round trips of every kind of field."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flatbuffers.number_types import Int32Flags, Uint64Flags
from flatbuffers.table import Table
from hypothesis import given
from hypothesis import strategies as st

from zlmdb.codecs.flatbuffers import (
    BOOL,
    BYTES,
    CBOR_ARRAY,
    CBOR_MAP,
    I32,
    STRING,
    STRING_VECTOR,
    TIMESTAMP,
    U8,
    U64,
    U64_VECTOR,
    UUID_BYTES,
    FlatRecord,
    flat,
    flatbuffers_codec,
)
from zlmdb.errors import DecodeError, EncodeError, MissingDependency, TableDeclaration, WrongType, WrongValue
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_realmstore._session import Session

ROOT = Path(__file__).parent.parent
OID = UUID("00112233-4455-6677-8899-aabbccddeeff")
TIME = 1700000000123456789

EMPTY = bytes.fromhex("080000000400040004000000")
COOKIE = Cookie(oid=OID, created=TIME, max_age=604800, name="cbtid", value="abcdefghijklmnopqrstuvwx")
COOKIE_BYTES = bytes.fromhex(
    "1400000000000e0020001c0014000c00080004000e0000001c00000038000000803a09000000000015cd853dfe9c9717300000001800000061626364656667"
    "68696a6b6c6d6e6f707172737475767778000000000500000063627469640000001000000000112233445566778899aabbccddeeff00000000"
)
SESSION = Session(
    oid=OID,
    session=7777,
    joined_at=TIME,
    realm="realm1",
    authid="joe",
    authrole="user",
    authmethod="anonymous",
    authprovider="static",
    authextra={"a": 1},
    transport={"peer": "x"},
)
SESSION_BYTES = bytes.fromhex(
    "380000000000000000002e0038000000340028002000000000000000000000001c00000000000000000000001800140010000c00080004002e00000034000000"
    "3c0000004400000050000000580000005c0000006400000015cd853dfe9c9717611e000000000000000000005c00000004000000a16161010000000006000000"
    "737461746963000009000000616e6f6e796d6f7573000000040000007573657200000000030000006a6f6500060000007265616c6d31000008000000a1647065"
    "65726178000000001000000000112233445566778899aabbccddeeff00000000"
)

COOKIES = flatbuffers_codec(Cookie.build, Cookie.cast)
SESSIONS = flatbuffers_codec(Session.build, Session.cast)


class Everything(FlatRecord):
    flag: bool = flat(BOOL)
    small: int = flat(U8)
    signed: int = flat(I32)
    large: int = flat(U64)
    time: int | None = flat(TIMESTAMP)
    oid: UUID | None = flat(UUID_BYTES)
    text: str | None = flat(STRING)
    blob: bytes | None = flat(BYTES)
    document: dict[str, Any] | None = flat(CBOR_MAP)
    array: list[Any] | None = flat(CBOR_ARRAY)
    numbers: list[int] | None = flat(U64_VECTOR)
    texts: list[str] | None = flat(STRING_VECTOR)
    maybe: int | None = flat(U64, default=None)
    caption: str = flat(STRING, default="")


EVERYTHING = flatbuffers_codec(Everything.build, Everything.cast)

u64 = st.integers(0, 2**64 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts | st.binary() | st.lists(u64))
VALUES = {
    "[uint8]uuid": st.uuids(),
    "[uint8]map": documents,
    "uint64": u64,
    "int32": st.integers(-(2**31), 2**31 - 1),
    "string": texts,
}
everything = st.builds(
    Everything,
    flag=st.booleans(),
    small=st.integers(0, 255),
    signed=VALUES["int32"],
    large=u64,
    time=st.none() | u64,
    oid=st.none() | st.uuids(),
    text=st.none() | texts,
    blob=st.none() | st.binary(),
    document=st.none() | documents,
    array=st.none() | st.lists(st.integers() | texts),
    numbers=st.none() | st.lists(u64),
    texts=st.none() | st.lists(texts),
    maybe=st.none() | u64,
    caption=texts,
)


def values_of(record: type[FlatRecord]) -> st.SearchStrategy[dict[str, Any]]:
    kinds = {"[uint8]": {id(UUID_BYTES): VALUES["[uint8]uuid"], id(CBOR_MAP): VALUES["[uint8]map"]}}
    return st.fixed_dictionaries(
        {},
        optional={
            field.name: kinds["[uint8]"][id(field.kind)] if field.kind.fbs == "[uint8]" else VALUES[field.kind.fbs]
            for field in record.flat_fields()
        },
    )


def as_stored(record: FlatRecord) -> dict[str, Any]:
    """Falsy values read back as the default of their field."""
    return {field.name: getattr(record, field.name) or field.unset for field in record.flat_fields()}


def stock_read(data: bytes, record: type[FlatRecord]) -> dict[str, Any]:
    """What the accessors of generated code find, by vtable offset; vectors as bytes."""
    table = Table(data, int.from_bytes(data[:4], "little"))
    found: dict[str, Any] = {}
    for number, field in enumerate(record.flat_fields()):
        place = table.Offset(4 + 2 * number)
        if not place:
            continue
        if field.kind.fbs == "string":
            found[field.name] = table.String(place + table.Pos)
        elif field.kind.fbs == "[uint8]":
            start = table.Vector(place)
            found[field.name] = bytes(data[start : start + table.VectorLen(place)])
        else:
            flags = {"uint64": Uint64Flags, "int32": Int32Flags}[field.kind.fbs]
            found[field.name] = table.Get(flags, place + table.Pos)
    return found


@pytest.mark.parametrize(
    ("codec", "record", "data"),
    [
        (COOKIES, Cookie(), EMPTY),
        (SESSIONS, Session(), EMPTY),
        (COOKIES, COOKIE, COOKIE_BYTES),
        (SESSIONS, SESSION, SESSION_BYTES),
    ],
    ids=["empty cookie", "empty session", "cookie", "session"],
)
def test_records_have_the_bytes_of_existing_files_in_both_directions(codec, record, data):
    assert codec.encode(record).hex() == data.hex()
    assert codec.decode(data) == record
    assert codec.decode(memoryview(data)) == record
    assert codec.decode(bytearray(data)) == record


def test_what_is_not_stored_reads_as_none_and_integers_as_0():
    session = SESSIONS.decode(EMPTY)
    integers = {"session", "worker_pid", "proxy_worker_pid"}
    assert {name for name, value in vars(session).items() if value == 0 and value is not None} == integers
    assert all(value is None for name, value in vars(session).items() if name not in integers)
    assert SESSIONS.decode(SESSION_BYTES).left_at is None


@given(everything)
def test_every_kind_of_field_comes_back(record):
    assert vars(EVERYTHING.decode(EVERYTHING.encode(record))) == as_stored(record)


@given(everything)
def test_what_was_read_is_written_to_the_same_bytes(record):
    data = EVERYTHING.encode(record)
    assert EVERYTHING.encode(EVERYTHING.decode(data)) == data


@pytest.mark.parametrize(("codec", "record"), [(COOKIES, Cookie), (SESSIONS, Session)])
def test_the_stock_accessors_read_what_we_wrote(codec, record):
    @given(values_of(record))
    def check(values):
        data = codec.encode(record(**values))
        kinds = {field.name: field.kind for field in record.flat_fields()}
        stored = {name: kinds[name].check(value) for name, value in values.items()}
        assert stock_read(data, record) == {name: value for name, value in stored.items() if value}
        assert vars(codec.decode(data)) == as_stored(record(**values))

    check()


@given(everything)
def test_a_record_holds_nothing_of_the_buffer_it_was_read_from(record):
    data = bytearray(EVERYTHING.encode(record))
    read = EVERYTHING.decode(memoryview(data))
    data[:] = bytes(len(data))
    assert vars(read) == as_stored(record)


def test_a_record_is_a_mutable_value():
    cookie = COOKIES.decode(COOKIE_BYTES)
    cookie.value = None
    cookie.authid = "joe"
    assert cookie != COOKIE
    again = COOKIES.decode(COOKIES.encode(cookie))
    assert again == cookie
    assert again.value is None


def test_the_secret_of_a_cookie_is_not_shown():
    assert "cbtid" in repr(COOKIE)
    assert "abcdefghijklm" not in repr(COOKIE)


def test_fields_of_a_newer_schema_are_passed_over_and_those_of_an_older_one_are_unset():
    class Older(FlatRecord):
        flag: bool = flat(BOOL)
        small: int = flat(U8)

    older = flatbuffers_codec(Older.build, Older.cast)
    data = EVERYTHING.encode(Everything(flag=True, small=7, text="x", numbers=[1]))
    assert older.decode(data) == Older(flag=True, small=7)
    assert EVERYTHING.decode(older.encode(Older(small=9))) == Everything(small=9)


def test_many_combinations_of_fields_are_read_although_few_layouts_are_kept():
    names = [field.name for field in Cookie.flat_fields() if field.kind is STRING]
    for chosen in range(2 ** len(names)):
        cookie = Cookie(**{name: name for bit, name in enumerate(names) if chosen >> bit & 1})
        for _ in range(2):
            assert COOKIES.decode(COOKIES.encode(cookie)) == cookie


def test_equal_strings_of_a_vector_may_be_stored_once():
    def build(_: object, builder: Any) -> int:
        offset = builder.CreateSharedString("x" * 100)
        builder.StartVector(4, 50, 4)
        for _ in range(50):
            builder.PrependUOffsetTRelative(offset)
        vector = builder.EndVector()
        builder.StartObject(14)
        builder.PrependUOffsetTRelativeSlot(11, vector, 0)
        return builder.EndObject()

    data = flatbuffers_codec(build, Everything.cast).encode(Everything())
    assert EVERYTHING.decode(data).texts == ["x" * 100] * 50


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"oid": OID.bytes}, WrongType),
        ({"oid": ""}, WrongType),
        ({"flag": 1}, WrongType),
        ({"small": 256}, WrongValue),
        ({"small": True}, WrongType),
        ({"signed": 2**31}, WrongValue),
        ({"large": -1}, WrongValue),
        ({"large": 2**64}, WrongValue),
        ({"time": 1.5}, WrongType),
        ({"text": b"x"}, WrongType),
        ({"text": "\ud800"}, WrongValue),
        ({"blob": "x"}, WrongType),
        ({"document": [1]}, WrongType),
        ({"document": {"a": ...}}, WrongValue),
        ({"array": {}}, WrongType),
        ({"numbers": [1, "2"]}, WrongType),
        ({"numbers": (1, 2)}, WrongType),
        ({"texts": ["a", None]}, WrongType),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_and_its_field_named(values, error):
    (name,) = values
    with pytest.raises(error) as caught:
        EVERYTHING.encode(Everything(**values))
    assert caught.value.where == f"Everything.{name}"
    assert caught.value.expected


def test_a_field_without_a_kind_is_refused():
    with pytest.raises(TableDeclaration, match=r"Wrong\.name"):

        class Wrong(FlatRecord):
            name: str = "x"


def test_a_default_that_would_not_come_back_is_refused():
    with pytest.raises(TableDeclaration, match="falsy"):
        flat(U64, default=1)


@pytest.mark.parametrize("root", [None, "x", True, 0, -1, 10**6])
def test_a_build_that_returns_no_offset_is_refused(root):
    codec = flatbuffers_codec(lambda _, builder: root, Cookie.cast)
    with pytest.raises(EncodeError, match="offset"):
        codec.encode(COOKIE)


def test_errors_of_a_foreign_cast_become_decode_errors():
    def cast(data: bytes) -> None:
        raise IndexError("beyond")

    with pytest.raises(DecodeError, match="IndexError: beyond"):
        flatbuffers_codec(lambda _, builder: 0, cast).decode(b"")


def test_flat_records_need_no_package_and_other_values_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    assert COOKIES.decode(COOKIES.encode(COOKIE)) == COOKIE
    with pytest.raises(MissingDependency, match=r"pip install zlmdb\[flatbuffers\]") as caught:
        flatbuffers_codec(lambda cookie, builder: cookie.build(builder), Cookie.cast).encode(COOKIE)
    assert caught.value.extra == "flatbuffers"


def stock_build(record: FlatRecord, builder: Any) -> int:
    """Write a record with the stock builder alone, vectors first, each in the order of the fields."""
    slots = {"bool": "Bool", "uint8": "Uint8", "int32": "Int32", "uint64": "Uint64"}
    stored = []
    for number, field in enumerate(record.flat_fields()):
        value = getattr(record, field.name)
        value = field.kind.check(value) if value is not None else None
        if not value:
            continue
        if field.kind.fbs == "[uint64]":
            builder.StartVector(8, len(value), 8)
            for item in reversed(value):
                builder.PrependUint64(item)
            value = builder.EndVector()
        elif field.kind.fbs == "[string]":
            offsets = [builder.CreateString(item) for item in value]
            builder.StartVector(4, len(offsets), 4)
            for offset in reversed(offsets):
                builder.PrependUOffsetTRelative(offset)
            value = builder.EndVector()
        elif field.kind.fbs not in slots:
            value = builder.CreateString(value)
        stored.append((number, slots.get(field.kind.fbs, "UOffsetTRelative"), value))
    builder.StartObject(len(record.flat_fields()))
    for number, slot, value in stored:
        getattr(builder, f"Prepend{slot}Slot")(number, value, 0)
    root: int = builder.EndObject()
    return root


@given(everything)
def test_every_byte_is_that_of_the_stock_builder(record):
    stock = flatbuffers_codec(stock_build, Everything.cast)
    nested = flatbuffers_codec(lambda value, builder: value.build(builder), Everything.cast)
    assert bytes(record) == EVERYTHING.encode(record) == stock.encode(record) == nested.encode(record)


@given(everything, st.integers(0, 20))
def test_a_record_may_be_part_of_a_larger_buffer_of_the_stock_builder(record, before):
    def build(_: object, builder: Any) -> int:
        builder.CreateString("x" * before)
        inner = record.build(builder)
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, inner, 0)
        return builder.EndObject()

    def cast(data: bytes) -> Any:
        table = Table(data, int.from_bytes(data[:4], "little"))
        at = table.Indirect(table.Pos + table.Offset(4))
        large = Table(data, at).Offset(10)
        assert not large or (at + large) % 8 == 0
        return Everything.cast(struct.pack("<I", at) + data[4:])  # the inner table as the root

    codec = flatbuffers_codec(build, cast)
    assert vars(codec.decode(codec.encode(record))) == as_stored(record)


@pytest.mark.parametrize(
    ("file", "record"), [("cookiestore/cookie.fbs", Cookie), ("realmstore/session.fbs", Session)], ids=str
)
def test_the_fbs_file_and_the_class_agree(file, record):
    text = re.sub(r"//.*", "", (ROOT / "schemas" / file).read_text())
    (body,) = re.findall(rf"table {record.__name__} {{(.*?)}}", text, re.DOTALL)
    declared = re.findall(r"(\w+)\s*:\s*([^;]+);", body)
    assert declared == [(field.name, field.kind.fbs) for field in record.flat_fields()]
