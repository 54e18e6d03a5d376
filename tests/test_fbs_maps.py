# SPDX-License-Identifier: MIT
"""Records of schema files in maps, beside flat records and classes that flatc generates."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.fbs_samples import DATA, FULL, Line, Order
from zlmdb.codecs import value_codec
from zlmdb.codecs.flatbuffers import STRING, U64, FlatRecord, flat, load_fbs
from zlmdb.errors import DecodeError, EncodeError, TableDeclaration, WrongType


class Person(FlatRecord):
    number: int = flat(U64)
    name: str | None = flat(STRING)


def test_a_map_needs_only_the_record_class(tmp_path):
    orders = zlmdb.MapOidFlatBuffers[Order](1)
    people = zlmdb.MapOidFlatBuffers[Person](2)
    with zlmdb.Database(str(tmp_path / "db")) as db:
        with db.begin(write=True) as txn:
            orders[txn, 1] = Order(**FULL)
            orders[txn, 2] = {"customer": "dictionary"}
            people[txn, 1] = Person(number=5, name="joe")
        with db.begin() as txn:
            assert orders[txn, 1] == Order(**FULL)
            assert [order.customer for order in orders.select(txn, return_keys=False)] == ["joe", "dictionary"]
            assert people[txn, 1] == Person(number=5, name="joe")
        with db.begin(buffers=True) as txn:
            order = orders[txn, 1]
            assert order.prices.as_numpy().tolist() == [1.5, -2.0]
            assert order.customer == "joe"
            assert people[txn, 1].name == "joe"
        with db.begin(write=True) as txn, pytest.raises(WrongType, match=r"MapOidFlatBuffers.*Order\.customer"):
            orders[txn, 3] = {"customer": 5}


def test_a_record_class_is_a_table():
    @zlmdb.table("6d5f4a6e-3c0f-4d0e-8b51-6a9c3f2f1a01", compress=1)
    class Orders(zlmdb.MapOidFlatBuffers[Order]):
        pass

    with zlmdb.Database() as db:
        orders = db.attach_table(Orders)
        with db.begin(write=True) as txn:
            orders[txn, 1] = Order(**FULL)
        with db.begin() as txn:
            assert orders[txn, 1].lines[1].article == "ä"


def test_damaged_records_of_a_map_name_map_and_key(tmp_path):
    orders, raw = zlmdb.MapOidFlatBuffers[Order](1), zlmdb.MapOidBytes(1)
    with zlmdb.Database(str(tmp_path / "db")) as db:
        with db.begin(write=True) as txn:
            raw[txn, 7] = b"\xff" * 20
        with db.begin() as txn, pytest.raises(DecodeError, match=r"MapOidFlatBuffers.*key 7"):
            orders[txn, 7]


def test_values_without_record_class_and_functions_are_refused():
    for record in (None, int, "Order"):
        with pytest.raises(TableDeclaration, match="build and cast"):
            value_codec("FlatBuffers", record=record)
    with pytest.raises(TableDeclaration, match="both"):
        value_codec("FlatBuffers", record=Order, build=Order.build)


def test_the_codec_of_a_record_class_verifies_what_it_reads_lazily():
    codec = value_codec("FlatBuffers", record=Order)
    data = bytearray(bytes(Order(**FULL)))
    codec.verify(bytes(data))
    data[data.index(b"joe")] = 0xFF
    assert codec.decode(bytes(data)).id == 7
    with pytest.raises(DecodeError, match="UTF-8"):
        codec.verify(bytes(data))


def test_a_value_that_is_no_flat_record_is_refused():
    codec = value_codec("FlatBuffers", record=Person)
    for wrong in (5, None, {"name": "x"}):
        with pytest.raises(EncodeError):
            codec.encode(wrong)


# --- generated code ----------------------------------------------------------------------------------


def load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_classes_that_flatc_generated_are_used_through_build_and_cast(tmp_path):
    generated = load_module(DATA / "note_generated.py")
    schema = load_fbs(DATA / "note.fbs")

    def build(note: Any, builder: Any) -> int:
        text = builder.CreateString(note["text"])
        generated.NoteStartMarksVector(builder, len(note["marks"]))
        for mark in reversed(note["marks"]):
            builder.PrependUint32(mark)
        marks = builder.EndVector()
        generated.NoteStart(builder)
        generated.NoteAddId(builder, note["id"])
        generated.NoteAddText(builder, text)
        generated.NoteAddMarks(builder, marks)
        generated.NoteAddPlace(builder, generated.CreatePlace(builder, 3, 4.5))
        offset: int = generated.NoteEnd(builder)
        return offset

    theirs = zlmdb.MapOidFlatBuffers(1, build=build, cast=lambda data: generated.Note.GetRootAs(data, 0))
    ours = zlmdb.MapOidFlatBuffers[schema.Note](1)
    with zlmdb.Database(str(tmp_path / "db")) as db, db.begin(write=True) as txn:
        theirs[txn, 1] = {"id": 5, "text": "hello", "marks": [1, 2]}
        assert ours[txn, 1].to_dict() == {"id": 5, "text": "hello", "stars": 3, "marks": [1, 2], "place": (3, 4.5)}
        ours[txn, 2] = schema.Note(id=6, text="ours", stars=-1, marks=[7, 8, 9], place=(1, 2.5))
        note = theirs[txn, 2]
        assert (note.Id(), note.Text(), note.Stars(), note.MarksAsNumpy().tolist()) == (6, b"ours", -1, [7, 8, 9])
        assert (note.Place().X(), note.Place().Y()) == (1, 2.5)


@pytest.mark.skipif(shutil.which("flatc") is None, reason="flatc is not installed")
def test_code_that_flatc_generates_now_reads_what_we_write(tmp_path, monkeypatch):
    subprocess.run(
        ["flatc", "--python", "-o", tmp_path, DATA / "shop.fbs", DATA / "shop_types.fbs"], check=True, cwd=DATA
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        from shop.orders import Cash as cash
        from shop.orders import Order as order

        data = bytes(Order(**FULL))
        assert order.Order.OrderBufferHasIdentifier(data, 0)
        found = order.Order.GetRootAs(data, 0)
        assert (found.Id(), found.Customer(), found.Small(), found.Maybe()) == (7, b"joe", -128, 0)
        assert (found.Express(), found.Ratio(), found.Color(), found.Options()) == (False, 0.5, 3, 32)
        assert [found.Names(at) for at in range(found.NamesLength())] == [b"", b"x", b"y"]
        assert (found.Lines(0).Parts(0).Article(), found.Lines(1).Article().decode()) == (b"b", "ä")
        assert found.PricesAsNumpy().tolist() == [1.5, -2.0]
        assert (found.Box().Id(), found.Points(1).Y(), found.First().Article()) == (2**64 - 1, 4.0, b"c")
        payment = cash.Cash()
        payment.Init(found.Payment().Bytes, found.Payment().Pos)
        assert (found.PaymentType(), payment.Amount()) == (2, 1.25)
    finally:
        for name in [name for name in sys.modules if name == "shop" or name.startswith("shop.")]:
            del sys.modules[name]


def test_a_range_of_records_is_columns_of_all_their_fields(tmp_path):
    orders = zlmdb.MapOidFlatBuffers[Line](1)
    with zlmdb.Database(str(tmp_path / "db")) as db:
        with db.begin() as txn:
            assert set(orders.arrays(txn)) == {"key", "article", "count", "parts"}  # also where there are none
        with db.begin(write=True) as txn:
            for number in range(3):
                orders[txn, number] = Line(article=f"a{number}", count=number)
            arrays = orders.arrays(txn)
            assert set(arrays) == {"key", "article", "count", "parts"}
            assert arrays["count"].tolist() == arrays["key"].tolist() == [0, 1, 2]
            assert arrays["article"].tolist() == ["a0", "a1", "a2"]
            table = orders.to_arrow(txn, fields=["article", "count"])
            assert table.column("article").to_pylist() == ["a0", "a1", "a2"]


def test_records_can_be_matched_by_position():
    match Line(article="a", count=3):
        case Line(article=article, count=count):
            assert (article, count) == ("a", 3)
    assert Line.__match_args__ == ("article", "count", "parts")
