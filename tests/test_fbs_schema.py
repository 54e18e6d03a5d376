# SPDX-License-Identifier: MIT
"""Schema files: what the language says, where it says it wrongly, and compiled schemas."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from enum import IntFlag
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zlmdb.codecs.fbs_compiled import _REFLECTION, read_compiled
from zlmdb.codecs.flatbuffers import FbsRecord, load_fbs
from zlmdb.errors import ConfigError, DecodeError, TableDeclaration

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
COMPILED = (DATA / "shop.bfbs").read_bytes()


def fields(record: type[FbsRecord]) -> list[tuple[Any, ...]]:
    return [
        (name, field.number, type(field.type), field.default, field.required, field.kind_of)
        for name, field in record._shape.fields
    ]


def layout(schema: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in schema:
        made = schema[name]
        if issubclass(made, FbsRecord):
            found[name] = fields(made)
        else:
            found[name] = list(made.__members__.items()) if hasattr(made, "__members__") else made._fields
    return found


def test_types_are_found_by_full_and_by_last_name():
    schema = load_fbs(DATA / "shop.fbs")
    assert schema.shop.orders.Order is schema.Order is schema["shop.orders.Order"] is schema.root
    assert schema.Order.__name__ == "Order"
    assert schema.Order.__module__ == "shop.orders"
    assert schema.file_identifier == b"ORDR"
    assert len(schema) == len(list(schema)) == 9
    assert "shop" in dir(schema)
    with pytest.raises(AttributeError, match="no type"):
        schema.Nothing
    with pytest.raises(KeyError):
        schema["Order"]


def test_a_name_in_two_namespaces_needs_its_namespace():
    schema = load_fbs("namespace a; table T { x: int; } namespace b; table T { y: int; t: T; }")
    with pytest.raises(AttributeError, match="several"):
        schema.T
    assert fields(schema.a.T)[0][0] == "x"
    assert schema.b.T(t={"y": 1}).t.y == 1


def test_the_path_may_be_a_string():
    assert load_fbs(str(DATA / "shop.fbs")).Order(customer="joe").customer == "joe"


def test_a_compiled_schema_says_the_same_as_its_text():
    assert layout(load_fbs(COMPILED)) == layout(load_fbs(DATA / "shop.bfbs")) == layout(load_fbs(DATA / "shop.fbs"))
    assert load_fbs(COMPILED).root is not None
    assert load_fbs(COMPILED).file_identifier == b"ORDR"


@pytest.mark.skipif(shutil.which("flatc") is None, reason="flatc is not installed")
def test_the_compiled_schema_is_that_of_the_text(tmp_path):
    subprocess.run(
        ["flatc", "--binary", "--schema", "--bfbs-builtins", "-o", tmp_path, DATA / "shop.fbs"], check=True, cwd=DATA
    )
    assert layout(load_fbs(tmp_path / "shop.bfbs")) == layout(load_fbs(DATA / "shop.fbs"))


@pytest.mark.parametrize("file", ["cookiestore/cookie.fbs", "realmstore/session.fbs"])
def test_the_schemas_of_the_bundled_stores_are_read(file):
    (record,) = [load_fbs(ROOT / "schemas" / file)[name] for name in load_fbs(ROOT / "schemas" / file)]
    assert record().to_dict().keys() >= {"oid", "authid", "authextra"}


def test_all_scalars_have_two_names_and_their_defaults():
    pairs = [
        *("byte int8", "ubyte uint8", "short int16", "ushort uint16", "int int32", "uint uint32"),
        *("long int64", "ulong uint64", "float float32", "double float64"),
    ]
    for names in pairs:
        for name in names.split():
            record = load_fbs(f"table T {{ a: {name} = 7; b: {name} = 31; c: {name}; d: {name} = null; }}").T(a=5)
            assert (record.a, record.b, record.c, record.d) == (5, 31, 0, None)
    record = load_fbs(
        "table T { a: bool = true; b: bool; c: double = -1.5e3; d: float = inf; e: int = -0x10;"
        ' f: string = "x"; g: [int] = []; }'
    ).T()
    assert record.to_dict() == {"a": True, "b": False, "c": -1500.0, "d": float("inf"), "e": -16, "f": "x", "g": ()}


def test_enums_count_on_and_flags_are_bits():
    schema = load_fbs(
        """
        enum E : short { A = -5, B, C = 0x10, D, }
        enum F : ubyte (bit_flags) { X, Y, Z = 7 }
        table T { e: E = D; f: F = "X Z"; g: F; h: E = E.B; i: E = 16; }
        """
    )
    assert {member.name: member.value for member in schema.E} == {"A": -5, "B": -4, "C": 16, "D": 17}
    assert {member.name: member.value for member in schema.F} == {"X": 1, "Y": 2, "Z": 128}
    record = schema.T()
    assert (record.e, record.f, record.g, record.h, record.i) == (17, 129, 0, -4, 16)
    assert record.e is schema.E.D
    assert isinstance(record.f, IntFlag)


def test_ids_number_the_fields():
    schema = load_fbs("table A {} union U { A } table T { c: int (id: 3); u: U (id: 2); a: int (id: 0); }")
    assert [(name, number) for name, number, *_ in fields(schema.T)] == [("a", 0), ("u_type", 1), ("u", 2), ("c", 3)]


def test_deprecated_fields_keep_their_number_and_have_no_attribute():
    schema = load_fbs("table T { a: int; b: int (deprecated); c: int; }")
    assert [(name, number) for name, number, *_ in fields(schema.T)] == [("a", 0), ("c", 2)]
    with pytest.raises(AttributeError):
        schema.T().b


def test_structs_are_aligned_and_may_be_forced_to_be():
    schema = load_fbs(
        "struct S { a: byte; b: double; c: [short:3]; } struct L (force_align: 16) { s: S; x: byte; } table T { l: L; }"
    )
    record = schema.T(l=((1, 2.5, (3, 4, 5)), 6))
    assert record.l == schema.L(schema.S(1, 2.5, (3, 4, 5)), 6)
    data = bytes(record)
    assert record._places[0] % 16 == 0
    assert len(data) % 16 == 0
    assert record._shape.fields[0][1].type.size == 32


def test_names_that_are_taken_get_an_underscore():
    schema = load_fbs("table T { class: int; cast: int; to_dict: int; _data: int; self: int; }")
    record = schema.T(class_=1, cast_=2, to_dict_=3, _data_=4, self=5)
    assert record.to_dict() == {"class_": 1, "cast_": 2, "to_dict_": 3, "_data_": 4, "self": 5}
    with pytest.raises(TableDeclaration, match="two fields"):
        load_fbs("table T { cast: int; cast_: int; }")


def test_comments_services_and_unknown_attributes_are_passed_over():
    schema = load_fbs(
        """
        /* a
           comment */ attribute "mine"; file_extension "x";
        /// documentation
        table T (mine: "x") { a: int (mine, other: 3); } // end
        rpc_service R { get(T): T (streaming: "none"); }
        """
    )
    assert list(schema) == ["T"]


# --- includes ----------------------------------------------------------------------------------------


def test_included_files_are_found_beside_and_in_the_given_folders(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "a.fbs").write_text('include "b.fbs"; include "c.fbs"; table A { b: B; c: C; } root_type A;')
    (tmp_path / "b.fbs").write_text('include "a.fbs"; table B { x: int; } root_type B; file_identifier "BBBB";')
    (tmp_path / "other" / "c.fbs").write_text('include "d.fbs"; table C { d: D; }')
    (tmp_path / "other" / "d.fbs").write_text("namespace n; table D { y: int; } namespace; table E {}")
    with pytest.raises(TableDeclaration, match="include_paths") as caught:
        load_fbs(tmp_path / "a.fbs")
    assert caught.value.line == 1
    with pytest.raises(TableDeclaration, match="no type has the name D"):
        load_fbs(tmp_path / "a.fbs", [tmp_path / "other"])
    (tmp_path / "other" / "c.fbs").write_text('include "d.fbs"; table C { d: n.D; }')
    schema = load_fbs(tmp_path / "a.fbs", [tmp_path / "other"])
    assert schema.root is schema.A
    assert schema.file_identifier == b""
    assert schema.A(c={"d": {"y": 5}}).c.d.y == 5


def test_a_text_may_include_files_of_the_given_folders():
    schema = load_fbs('include "shop_types.fbs"; table T { p: shop.Point; }', include_paths=[DATA])
    assert schema.T(p=(1, 2)).p.y == 2.0


@pytest.mark.parametrize("name", ["nothing.fbs", "nothing.bfbs", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        load_fbs(tmp_path / name)
    assert caught.value.expected


# --- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("table T { a: int }", "';' is missing", (1, 18)),
        ("table T {\n  a int;\n}", "':' is missing", (2, 5)),
        ("table T {\n  a: int;\n", "not a name", (3, 1)),
        ("table T { a: Foo; }", "no type has the name Foo", (1, 14)),
        ("table T { a: [[int]]; }", "vector of vectors", (1, 15)),
        ("table T { a: [int:3]; }", "array outside", (1, 14)),
        ("table T { a: int = x; }", "not a default", (1, 20)),
        ("table T { a: ubyte = 256; }", "not a default", (1, 22)),
        ("table T { a: bool = 2; }", "not a default", (1, 21)),
        ("table T { a: int = 1.5; }", "not a default", (1, 20)),
        ("table T { a: T = 1; }", "no such default", (1, 18)),
        ("table T { a: int = ; }", "not a default", (1, 20)),
        ("table T { a: int; a: int; }", "name is taken", (1, 19)),
        ("table T { a: int (required); }", "cannot be required", (1, 11)),
        ("table T { a: int (id: 1); }", "leave one out", (1, 11)),
        ("table T { a: int (id: 0); b: int; }", "without id", (1, 27)),
        ("table T { a: int (id: x); }", "not a number", (1, 23)),
        ("table T {} table T {}", "name is taken", (1, 18)),
        ("table int {}", "name is taken", (1, 7)),
        ("table T {} union U { T } table X { u: [U]; }", "vector of unions", (1, 39)),
        ("enum E : float { A }", "not an integer type", (1, 10)),
        ("enum E { A }", "':' is missing", (1, 8)),
        ("enum E : byte { A = 128 }", "does not fit", (1, 17)),
        ("enum E : byte { A, A }", "name is taken", (1, 20)),
        ("enum E : byte { A B }", "'}' is missing", (1, 19)),
        ("enum E : byte { A = 1 } table T { e: E; }", "no 0", (1, 35)),
        ("enum E : byte { A } table T { e: E = B; }", "not a default", (1, 38)),
        ("enum E : byte { A } union U { E }", "not for a union", (1, 31)),
        ("table A {} union U { A, A }", "taken", (1, 25)),
        ("table A {} union U : int { A }", "another type", (1, 22)),
        ("struct S { s: string; } ", "not for a struct", (1, 12)),
        ("struct S { s: S; } ", "not for a struct", (1, 12)),
        ("struct S { t: T; } struct T { s: S; }", "not for a struct", (1, 31)),
        ("struct S { a: int = 1; }", "not for a struct", (1, 12)),
        ("struct S { a: [int:0]; }", "not an array", (1, 15)),
        ("struct S { a: [long:9000]; }", "too large", (1, 29)),
        ("struct S (force_align: 3) { a: int; }", "not an alignment", (1, 24)),
        ("struct S {}", "without fields", (1, 12)),
        ("root_type T;", "no type has the name T", (1, 11)),
        ("struct S { a: int; } root_type S;", "no table", (1, 32)),
        ('file_identifier "ABC";', "another length", (1, 17)),
        ('table T {} include "x.fbs";', "behind a declaration", (1, 12)),
        ('include "no.fbs";', "is missing", (1, 9)),
        ("tabel T {}", "not a declaration", (1, 1)),
        ('table T { a: int; } {"a": 1}', "not a declaration", (1, 21)),
        ("table T { a: int; } §;", "no part of the language", (1, 21)),
        ('table T { a: string = "x; }', "no part of the language", (1, 23)),
        ("/* no end ;", "no part of the language", (1, 1)),
        ("rpc_service R { ;", "no end", (1, 18)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_in_a_schema_has_its_line_and_column(text, what, place):
    with pytest.raises(TableDeclaration, match=what) as caught:
        load_fbs(text)
    assert (caught.value.line, caught.value.column) == place
    assert f"line {place[0]}, column {place[1]}" in str(caught.value)
    assert caught.value.expected


def test_a_table_with_more_fields_than_fit_is_refused():
    fields = "".join(f"f{number}: long;" for number in range(7000))
    with pytest.raises(TableDeclaration, match="too large"):
        load_fbs(f"table T {{ {fields} }}")


TEXT = (DATA / "shop.fbs").read_text().split(";", 1)[1].replace("Color = Green", "int").replace("shop.", "")


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_text_is_read_or_refused(data):
    words = (DATA / "shop_types.fbs").read_text() + TEXT
    start = data.draw(st.integers(0, len(words)))
    end = data.draw(st.integers(start, min(len(words), start + 20)))
    with suppress(TableDeclaration, ConfigError):
        load_fbs(words[:start] + data.draw(st.text(' {}[]():;,=."ab1T', max_size=3)) + words[end:] + ";")


# --- hostile compiled schemas ------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(COMPILED) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_compiled_schema_is_read_or_refused(changes):
    data = bytearray(COMPILED)
    for place, value in changes:
        data[place] = value
    with suppress(DecodeError, TableDeclaration):
        load_fbs(bytes(data))


def test_flags_that_have_no_names_stay_integers():
    data = bytearray(COMPILED)
    data[488] = 0  # the number of the flags' names
    load_fbs(bytes(data))
    schema = load_fbs("enum E : ubyte (bit_flags) { }\ntable T { e: E = null; }\nroot_type T;")
    assert schema.T.cast(schema.T.encode({"e": 3})).e == 3
    assert schema.T.cast(schema.T.encode({})).e is None


def test_every_single_byte_of_a_compiled_schema_may_be_changed():
    for place in range(len(COMPILED)):
        data = bytearray(COMPILED)
        data[place] ^= 0xFF
        with suppress(DecodeError, TableDeclaration):
            read_compiled(bytes(data))


def test_what_is_no_compiled_schema_is_refused(tmp_path):
    with pytest.raises(DecodeError, match="not a compiled schema"):
        load_fbs(b"")
    with pytest.raises(DecodeError):
        load_fbs(COMPILED[:100])


def test_structs_nested_without_end_are_refused():
    # a compiled schema made by hand, with the schema of schemas as any other
    reflection = load_fbs(_REFLECTION)
    kind = {"base_type": 15, "index": 0}
    for count in (1, 5000):  # a struct in itself, and one in the next in the next …
        objects = [
            {
                "name": f"S{at}",
                "is_struct": True,
                "bytesize": 4,
                "minalign": 4,
                "fields": [{"name": "a", "type": {**kind, "index": (at + 1) % count}}],
            }
            for at in range(count)
        ]
        with pytest.raises(DecodeError, match="compiled schema"):
            load_fbs(reflection.Schema.encode({"objects": objects, "enums": []}))
