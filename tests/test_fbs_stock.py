# SPDX-License-Identifier: MIT
"""Records of schema files and the stock library: random schemas, values written and read by either."""

from __future__ import annotations

import math
import struct
from typing import Any

import flatbuffers
import pytest
from flatbuffers.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from zlmdb.codecs.fbs_model import SCALARS
from zlmdb.codecs.flatbuffers import load_fbs

FLAGS = {
    name: getattr(flatbuffers.number_types, f"{stock}Flags")
    for name, stock in zip(
        "bool byte ubyte short ushort int uint long ulong float double".split(),
        "Bool Int8 Uint8 Int16 Uint16 Int32 Uint32 Int64 Uint64 Float32 Float64".split(),
        strict=True,
    )
}
NAMES = [*FLAGS]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def scalar_values(name: str) -> st.SearchStrategy[Any]:
    if name == "bool":
        return st.booleans()
    if name in ("float", "double"):
        return st.floats(width=32 if name == "float" else 64, allow_nan=False)
    return st.integers(SCALARS[name].low, SCALARS[name].high)


@st.composite
def tables(draw: Any) -> tuple[str, list[tuple[str, Any]], dict[str, Any]]:
    """The text of a schema, the kind and default of each field of its table T, and values for some of them."""
    kinds: list[tuple[str, Any]] = []
    values: dict[str, Any] = {}
    text = ""
    for number in range(draw(st.integers(0, 8))):
        kind = draw(
            st.sampled_from([*NAMES, "string", "T", "[T]", "[string]", "S", "[S]"])
            | st.sampled_from(NAMES).map("[{}]".format)
        )
        default: Any = None
        if kind in FLAGS:
            default = draw(st.just(False if kind == "bool" else 0) | scalar_values(kind))
            default = default if not isinstance(default, float) or math.isfinite(default) else 0.0
        text += f"f{number}: {kind}{'' if default is None else f' = {default}'.lower()}; "
        kinds.append((kind, default))
    values = draw(table_values(kinds, 2))
    return f"struct S {{ a: byte; b: double; c: ushort; }} table T {{ {text} }}", kinds, values


def table_values(kinds: list[tuple[str, Any]], depth: int) -> st.SearchStrategy[dict[str, Any]]:
    strategies = {}
    for number, (kind, _) in enumerate(kinds):
        strategy = field_values(kind.strip("[]"), kinds, depth)
        if strategy is not None:
            strategies[f"f{number}"] = st.lists(strategy, max_size=4) if kind[0] == "[" else strategy
    return st.fixed_dictionaries({}, optional=strategies)


def field_values(kind: str, kinds: list[tuple[str, Any]], depth: int) -> st.SearchStrategy[Any] | None:
    if kind == "T":
        return table_values(kinds, depth - 1) if depth else None
    if kind == "S":
        return st.tuples(scalar_values("byte"), scalar_values("double"), scalar_values("ushort"))
    return TEXTS if kind == "string" else scalar_values(kind)


def stock_kinds(record: Any) -> list[tuple[str, Any]]:
    kinds = []
    for _, field in record._shape.fields:
        kinds.append((getattr(field.type, "name", "string"), field.default))
    return kinds


def stock_write(record: Any, values: dict[str, Any], identifier: bytes = b"") -> bytes:
    names = [name for name, _ in record._shape.fields]
    builder = flatbuffers.Builder(0)
    root = stock_table(
        builder,
        stock_kinds(record),
        dict(zip([f"f{n}" for n in range(len(names))], map(values.get, names), strict=True)),
    )
    builder.Finish(root, identifier or None)
    return bytes(builder.Output())


def stock_table(builder: Any, kinds: list[tuple[str, Any]], values: dict[str, Any]) -> int:
    """Write a table as a program with generated code does."""
    stored = {}
    for number, (kind, _) in enumerate(kinds):
        value = values.get(f"f{number}")
        if value is None or kind in FLAGS or kind == "S":
            continue
        if kind == "string":
            stored[number] = builder.CreateString(value)
        elif kind == "T":
            stored[number] = stock_table(builder, kinds, value)
        else:
            stored[number] = stock_vector(builder, kind.strip("[]"), kinds, value)
    builder.StartObject(len(kinds))
    for number, (kind, default) in enumerate(kinds):
        value = values.get(f"f{number}")
        if value is None:
            continue
        if kind in FLAGS:
            builder.PrependSlot(FLAGS[kind], number, value, default)
        elif kind == "S":
            builder.PrependStructSlot(number, stock_struct(builder, value), 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, stored[number], 0)
    offset: int = builder.EndObject()
    return offset


def stock_struct(builder: Any, value: tuple[int, float, int]) -> int:
    builder.Prep(8, 24)
    builder.Pad(6)
    builder.PrependUint16(value[2])
    builder.PrependFloat64(value[1])
    builder.Pad(7)
    builder.PrependInt8(value[0])
    offset: int = builder.Offset()
    return offset


def stock_vector(builder: Any, kind: str, kinds: list[tuple[str, Any]], values: list[Any]) -> int:
    targets = []
    if kind == "string":
        targets = [builder.CreateString(value) for value in values]
    elif kind == "T":
        targets = [stock_table(builder, kinds, value) for value in values]
    width, align = (24, 8) if kind == "S" else (FLAGS[kind].bytewidth,) * 2 if kind in FLAGS else (4, 4)
    builder.StartVector(width, len(values), align)
    for value in reversed(targets or values):
        if kind == "S":
            stock_struct(builder, value)
        elif kind in FLAGS:
            builder.Prepend(FLAGS[kind], value)
        else:
            builder.PrependUOffsetTRelative(value)
    offset: int = builder.EndVector()
    return offset


def stock_read(table: Table, kinds: list[tuple[str, Any]]) -> dict[str, Any]:
    """What the accessors of generated code find."""
    found: dict[str, Any] = {}
    for number, (kind, default) in enumerate(kinds):
        place = table.Offset(4 + 2 * number)
        if kind in FLAGS:
            found[f"f{number}"] = table.Get(FLAGS[kind], table.Pos + place) if place else default
        elif not place:
            found[f"f{number}"] = None
        elif kind[0] != "[":
            found[f"f{number}"] = stock_value(table, kind, kinds, table.Pos + place)
        else:
            start, kind = table.Vector(place), kind.strip("[]")
            width = 24 if kind == "S" else FLAGS[kind].bytewidth if kind in FLAGS else 4
            places = range(start, start + table.VectorLen(place) * width, width)
            found[f"f{number}"] = [stock_value(table, kind, kinds, at) for at in places]
    return found


def stock_value(table: Table, kind: str, kinds: list[tuple[str, Any]], at: int) -> Any:
    if kind == "string":
        return table.String(at).decode()
    if kind == "T":
        return stock_read(Table(table.Bytes, table.Indirect(at)), kinds)
    if kind == "S":
        assert at % 8 == 0 or len(table.Bytes) % 8
        return struct.unpack_from("<b7xdH", table.Bytes, at)
    return table.Get(FLAGS[kind], at)


def as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_lists(item) for name, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list | bytes) else value


@settings(max_examples=150, deadline=None)
@given(tables())
def test_the_stock_library_reads_what_we_write_and_we_read_what_it_writes(drawn):
    text, kinds, values = drawn
    record = load_fbs(text).T
    ours = record.encode(values)
    theirs = stock_write_kinds(kinds, values)
    expected = stock_read(Table(theirs, int.from_bytes(theirs[:4], "little")), kinds)
    assert stock_read(Table(ours, int.from_bytes(ours[:4], "little")), kinds) == expected
    for data in (ours, theirs, memoryview(theirs)):
        assert as_lists(record.cast(data).to_dict()) == expected
        record.verify(data)
    assert record(**record.cast(theirs).to_dict()) == record.cast(theirs)
    assert bytes(record.cast(theirs)) == theirs
    builder = flatbuffers.Builder(0)
    builder.Finish(record.cast(ours).build(builder))
    assert as_lists(record.cast(bytes(builder.Output())).to_dict()) == expected


def stock_write_kinds(kinds: list[tuple[str, Any]], values: dict[str, Any]) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(stock_table(builder, kinds, values))
    return bytes(builder.Output())


def test_every_value_is_aligned_as_the_format_wants():
    schema = load_fbs("table T { a: byte; b: short; c: int; d: double; s: string; v: [long]; w: [byte]; }")
    for size in range(20):
        record = schema.T(a=1, b=2, c=3, d=4.0, s="x" * size, v=[1], w=range(size % 5))
        for (_, field), width in zip(record._shape.fields, (1, 2, 4, 8, 4, 4, 4), strict=True):
            assert record._places[field.number] % width == 0
        assert record.v._at % 8 == 0
        assert record.w._at % 4 == 0


@pytest.mark.parametrize(
    ("text", "values", "data"),
    [
        ("table T { a: int; }", {}, "080000000400040004000000"),
        # root, gap, vtable of 6 bytes, table
        ("table T { a: int; }", {"a": 5}, "0c00000000000600080004000600000005000000"),
        ("table T { a: int; b: byte; }", {"a": 5, "b": 1}, None),
        ('table T { s: string; } root_type T; file_identifier "ABCD";', {"s": "hi"}, None),
    ],
)
def test_the_bytes_are_those_of_the_stock_builder(text, values, data):
    schema = load_fbs(text)
    made = schema.T.encode(values)
    assert data is None or made.hex() == data
    assert made == stock_write(schema.T, values, schema.file_identifier)
