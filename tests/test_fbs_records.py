# SPDX-License-Identifier: MIT
"""Records of schema files: what they read and write, errors, NumPy views."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import flatbuffers
import numpy as np
import pytest

from tests.fbs_samples import FULL, SHOP, Card, Line, Order
from zlmdb.codecs.flatbuffers import load_fbs
from zlmdb.errors import DecodeError, MissingDependency, WrongType, WrongValue

# --- bytes -------------------------------------------------------------------------------------------


def test_a_finished_record_is_its_bytes():
    record = Order(**FULL)
    data = bytes(record)
    assert data[4:8] == b"ORDR"
    assert bytes(Order.cast(data)) == data
    assert bytes(Order.cast(memoryview(data))) == data
    assert Order.encode(record) is Order.encode(record)


def test_tables_of_one_shape_share_a_vtable():
    one, many = (len(bytes(Order(customer="x", lines=[{"count": n + 2} for n in range(count)]))) for count in (1, 101))
    assert many - one == 100 * 12  # an offset, the offset of the vtable, and the field


# --- reading -----------------------------------------------------------------------------------------


def test_all_kinds_of_fields_come_back():
    record = Order(**FULL)
    assert record.customer == "joe"
    assert record.color is SHOP.Color.Blue
    assert record.options is SHOP.Options.Insured
    assert record.box == SHOP.Box(SHOP.Point(1.0, 2.0), 2**64 - 1, (1, 2, 3), SHOP.Options.Gift | SHOP.Options.Insured)
    assert record.points[1] == SHOP.Point(3.0, 4.0)
    assert record.colors == [SHOP.Color.Red, 7]
    assert record.lines[0].parts[0].article == "b"
    assert record.lines[-1].article == "ä"
    assert record.payment.amount == 1.25
    assert record.payment_type is SHOP.Payment.cash
    plain = record.to_dict()
    assert plain["lines"][0] == {
        "article": "a",
        "count": 1,
        "parts": [{"article": "b", "count": 0, "parts": []}],
    }
    assert plain["raw"] == b"\x00\xff"
    assert {name: plain[name] for name in FULL if name not in ("lines", "payment", "first")} == {
        name: value for name, value in FULL.items() if name not in ("lines", "payment", "first")
    }


def test_absent_fields_read_as_their_default():
    record = Order(customer="")
    assert {name: value for name, value in record.to_dict().items() if value is not None} == {
        "id": 0,
        "customer": "",
        "color": SHOP.Color.Green,
        "options": SHOP.Options.Gift | SHOP.Options.Express,
        "payment_type": SHOP.Payment.NONE,
        "express": True,
        "ratio": 1.5,
        "small": -7,
    }
    assert len(bytes(record)) == 32


def test_vectors_are_sequences():
    record = Order(**FULL)
    assert list(record.prices) == [1.5, -2.0] == record.prices == record.prices[:]
    assert record.prices != [1.5]
    assert record.prices != "ab"
    assert list(reversed(record.names)) == ["y", "x", ""]
    assert record.names[1:] == ["x", "y"]
    assert "x" in record.names
    assert record.names.index("y") == 2
    assert len(record.lines) == 2
    assert record.raw == b"\x00\xff"
    assert bytes(record.raw) == b"\x00\xff"
    assert [line.count for line in record.lines] == [1, -1]
    for vector in (record.prices, record.names, record.lines, record.points):
        for index in (len(vector), -len(vector) - 1):
            with pytest.raises(IndexError):
                vector[index]


def test_a_record_compares_by_content_and_shows_no_content():
    record = Order(**FULL)
    assert record == Order(**record.to_dict())
    assert record != record.replace(id=8)
    assert record != 5
    assert repr(Card(number="1234")) == "<shop.orders.Card: number>"
    assert "joe" not in repr(record)
    assert "1.5" not in repr(record.prices)
    with pytest.raises(AttributeError):
        record.id = 5


def test_replace_changes_some_fields():
    record = Order(**FULL)
    changed = record.replace(id=8, payment=Card(number="1"), names=None)
    assert (changed.id, changed.payment.number, changed.names) == (8, "1", None)
    assert changed.payment_type is SHOP.Payment.Card
    assert changed.replace(id=7, payment=record.payment, names=FULL["names"]) == record


def test_fields_of_newer_schemas_are_passed_over():
    old = load_fbs("enum E : byte { A, B } table A {} union U { A } table T { a: int; e: E; u: U; }")
    new = load_fbs(
        "enum E : byte { A, B, C } table A {} table B {} union U { A, B } table T { a: int; e: E; u: U; z: string; }"
    )
    record = old.T.cast(new.T.encode({"a": 1, "e": new.E.C, "u": new.B(), "z": "z"}))
    assert record.to_dict() == {"a": 1, "e": 2, "u_type": 2, "u": None}
    assert new.T.cast(old.T.encode({"a": 1})).z is None


def test_a_required_field_that_is_absent_is_refused_on_both_ways():
    with pytest.raises(WrongValue, match="required") as caught:
        Order(id=1)
    assert caught.value.where == "shop.orders.Order.customer"
    record = Order.cast(bytes.fromhex("080000000400040004000000"))
    assert record.id == 0
    with pytest.raises(DecodeError, match="required"):
        record.customer


# --- writing -----------------------------------------------------------------------------------------


@dataclass
class MyLine:
    article: str
    count: int = 1
    more: int = 0


def test_records_are_written_from_mappings_objects_and_records():
    expected = Order(customer="x", lines=[{"article": "a", "count": 2}], first={"article": "b"})
    for lines in ([MyLine("a", 2)], (Line(article="a", count=2),), [SimpleNamespace(article="a", count=2)]):
        order = SimpleNamespace(customer="x", lines=lines, first=Line(article="b"))
        assert Order.encode(order) == bytes(expected)
    assert Order(customer="x", lines=expected.lines, first=expected.first) == expected
    assert Order(customer="x", lines=iter([{"article": "a", "count": 2}]), first=MyLine("b")) == expected
    assert bytes(expected.lines[0]) == Line.encode({"article": "a", "count": 2})


def test_structs_are_written_from_tuples_and_mappings():
    for box in (
        {"corner": {"x": 1, "y": 2}, "id": 3, "tags": b"abc"[:0] or [1, 2, 3], "options": 0},
        [(1, 2), 3, (1, 2, 3), SHOP.Options(0)],
        SHOP.Box(SHOP.Point(1, 2), 3, (1, 2, 3), 0),
    ):
        assert Order(customer="x", box=box).box == ((1.0, 2.0), 3, (1, 2, 3), 0)


def test_a_union_may_hold_strings_structs_and_one_table_twice():
    schema = load_fbs(
        "struct P { x: long; } table A { a: int; } union U { A, B: A, P, S: string } table T { u: U; v: U; }"
    )
    T = schema.T
    assert T(u="text", v=schema.P(5)).to_dict() == {"u_type": 4, "u": "text", "v_type": 3, "v": (5,)}
    assert T(u=schema.A(a=1), u_type=schema.U.B).u_type is schema.U.B
    assert T(u={"a": 1}, u_type=1).u.a == 1
    assert T(u=schema.A(a=1), u_type=2).replace(v="x").to_dict()["u"] == {"a": 1}
    for wrong in (
        {"u": schema.A(a=1)},
        {"u": {"a": 1}},
        {"u_type": 1},
        {"u": "x", "u_type": 1},
        {"u": "x", "u_type": 9},
        {"u": 5},
    ):
        with pytest.raises(WrongValue, match="union"):
            T(**wrong)


def test_a_record_may_be_part_of_a_buffer_of_the_stock_builder():
    schema = load_fbs("table I { s: string; d: double; } table O { i: I; x: int; }")
    for before in range(9):
        builder = flatbuffers.Builder(0)
        builder.CreateString("x" * before)
        inner = schema.I(s="inner", d=2.5).build(builder)
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, inner, 0)
        builder.PrependInt32Slot(1, 5, 0)
        builder.Finish(builder.EndObject())
        outer = schema.O.cast(bytes(builder.Output()))
        assert outer.to_dict() == {"i": {"s": "inner", "d": 2.5}, "x": 5}
        assert outer.i._places[1] % 8 == 0


@pytest.mark.parametrize(
    ("values", "error", "where"),
    [
        ({"id": -1}, WrongValue, "id"),
        ({"id": 2**64}, WrongValue, "id"),
        ({"id": True}, WrongType, "id"),
        ({"id": 1.0}, WrongType, "id"),
        ({"id": "1"}, WrongType, "id"),
        ({"small": 128}, WrongValue, "small"),
        ({"express": 1}, WrongType, "express"),
        ({"ratio": "x"}, WrongType, "ratio"),
        ({"ratio": 1e39}, WrongValue, "ratio"),
        ({"color": 256}, WrongValue, "color"),
        ({"color": "Red"}, WrongType, "color"),
        ({"customer": b"x"}, WrongType, "customer"),
        ({"customer": "\ud800"}, WrongValue, "customer"),
        ({"names": ["a", 5]}, WrongType, "names, item 1"),
        ({"names": "abc"}, WrongType, "names"),
        ({"prices": [1, "2"]}, WrongType, "prices"),
        ({"prices": np.array([1 + 2j])}, WrongType, "prices"),
        ({"raw": [256]}, WrongValue, "raw"),
        ({"raw": np.array([1])}, WrongType, "raw"),
        ({"points": [(1,)]}, WrongType, "points"),
        ({"points": [(1, "y")]}, WrongType, "points, Point.y"),
        ({"box": ((1, 2), 3, (1, 2), 0)}, WrongValue, "box, Box.tags"),
        ({"box": {"corner": (1, 2)}}, WrongType, "box"),
        ({"lines": {"article": "x"}}, WrongType, "lines"),
        ({"lines": [{"article": 5}]}, WrongType, "lines, item 0, shop.orders.Line.article"),
        ({"lines": [5]}, WrongType, "lines, item 0, shop.orders.Line"),
        ({"first": Card(number="1")}, WrongType, "first, shop.orders.Line"),
        ({"first": {"unknown": 1}}, WrongValue, "first, shop.orders.Line"),
        ({"first": ...}, WrongType, "first, shop.orders.Line"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_and_its_place_named(values, error, where):
    with pytest.raises(error) as caught:
        Order(**{"customer": "x", **values})
    assert caught.value.where == f"shop.orders.Order.{where}"
    assert caught.value.expected


def test_an_unknown_field_is_refused():
    with pytest.raises(WrongValue, match="no such field"):
        Order(customer="x", colour=1)


# --- NumPy -------------------------------------------------------------------------------------------


def test_vectors_of_numbers_are_arrays_on_the_same_memory():
    data = bytes(Order(**FULL))
    for buffer in (data, memoryview(data)):
        record = Order.cast(buffer)
        prices = record.prices.as_numpy()
        assert prices.dtype == np.dtype("<f8")
        assert prices.tolist() == [1.5, -2.0]
        assert np.shares_memory(prices, np.frombuffer(data, "u1"))
        with pytest.raises(ValueError, match="read-only"):
            prices[0] = 1
        assert record.points.as_numpy()["y"].tolist() == [2.0, 4.0]
        assert record.colors.as_numpy().tolist() == [1, 7]
        assert record.raw.as_numpy().tolist() == [0, 255]


def test_arrays_of_structs_have_the_layout_of_the_struct():
    schema = load_fbs("struct I { a: byte; b: [short:2]; } struct S { x: byte; y: double; i: I; } table T { s: [S]; }")
    values = [(1, 2.5, (3, (4, 5))), (6, 7.5, (8, (9, 10)))]
    array = schema.T(s=values).s.as_numpy()
    assert array.dtype.itemsize == 24
    assert array["y"].tolist() == [2.5, 7.5]
    assert array["i"]["b"].tolist() == [[4, 5], [9, 10]]


def test_arrays_are_written_if_they_fit():
    record = Order(customer="x", prices=np.array([1.0, 2.0]), raw=np.array([1, 2], "u1"), colors=np.array([3], "u1"))
    assert (record.prices, record.raw, record.colors) == ([1.0, 2.0], [1, 2], [3])
    assert Order(customer="x", prices=np.array([1, 2], ">i4")).prices == [1.0, 2.0]
    assert Order(customer="x", prices=record.prices).prices == [1.0, 2.0]


def test_an_empty_vector_is_an_empty_array():
    record = Order(customer="x", prices=[], points=[])
    assert record.prices.as_numpy().shape == record.points.as_numpy().shape == (0,)


def test_without_numpy_the_extra_is_named(monkeypatch):
    prices = Order(**FULL).prices
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingDependency, match=r"zlmdb\[numpy\]"):
        prices.as_numpy()
