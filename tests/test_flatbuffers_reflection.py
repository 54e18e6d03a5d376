# SPDX-License-Identifier: MIT
"""`zlmdb.flatbuffers.reflection`: compiled schemas, read and written by the names of generated code."""

from importlib import import_module
from pathlib import Path
from typing import Any

import flatbuffers
import pytest

from tests.fbs_samples import FULL
from zlmdb.flatbuffers.reflection import (
    AdvancedFeatures,
    BaseType,
    Enum,
    EnumVal,
    Field,
    KeyValue,
    Object,
    Schema,
    SchemaFile,
    Type,
)

COMPILED = (Path(__file__).parent / "data" / "shop.bfbs").read_bytes()


def test_a_compiled_schema_is_read() -> None:
    schema: Any = Schema.Schema.GetRootAs(COMPILED, 0)
    objects = {schema.Objects(j).Name().decode(): schema.Objects(j) for j in range(schema.ObjectsLength())}
    assert set(objects) == {
        "shop.Box",
        "shop.Point",
        *(f"shop.orders.{name}" for name in "Card Cash Line Order".split()),
    }
    assert schema.RootTable().Name() == b"shop.orders.Order"
    assert schema.FileIdent() == b"ORDR"
    order = objects["shop.orders.Order"]
    fields = [order.Fields(j) for j in range(order.FieldsLength())]
    assert [field.Name() for field in fields] == sorted(field.Name() for field in fields)
    # flatc adds a hidden field for the type of a union
    names = {field.Name().decode() for field in fields if field.Type().BaseType() != BaseType.BaseType.UType}
    assert names >= set(FULL)
    assert objects["shop.Point"].IsStruct() is True
    assert order.IsStruct() is False


def test_what_is_absent_has_its_default() -> None:
    schema: Any = Schema.Schema.GetRootAsSchema(build(Schema, lambda builder: None))
    assert (schema.ServicesLength(), schema.ServicesIsNone(), schema.Services(0)) == (0, True, None)
    assert schema.AdvancedFeatures() == 0
    kind = Type.Type.GetRootAs(build(Type, lambda builder: None))
    assert (kind.BaseType(), kind.Index(), kind.BaseSize(), kind.ElementSize()) == (0, -1, 4, 0)
    field = Field.Field.GetRootAs(build(Field, lambda builder: None))
    assert (field.Name(), field.Type(), field.Optional(), field.DefaultReal()) == (None, None, False, 0.0)
    assert (field.Documentation(0), field.DocumentationLength()) == ("", 0)


def build(module: Any, add: Any) -> bytes:
    """A buffer with one table, written by the functions of its module."""
    builder = flatbuffers.Builder(0)
    module.Start(builder)
    add(builder)
    builder.Finish(module.End(builder))
    return bytes(builder.Output())


def test_the_writing_functions_write_what_the_accessors_read() -> None:
    builder = flatbuffers.Builder(0)
    name, file = builder.CreateString("a.fbs"), builder.CreateString("b.fbs")
    SchemaFile.StartIncludedFilenamesVector(builder, 1)
    builder.PrependUOffsetTRelative(file)
    included = builder.EndVector()
    SchemaFile.SchemaFileStart(builder)
    SchemaFile.SchemaFileAddFilename(builder, name)
    SchemaFile.AddIncludedFilenames(builder, included)
    entry = SchemaFile.SchemaFileEnd(builder)
    Schema.SchemaStartFbsFilesVector(builder, 1)
    builder.PrependUOffsetTRelative(entry)
    files = builder.EndVector()
    Schema.Start(builder)
    Schema.AddFbsFiles(builder, files)
    Schema.AddAdvancedFeatures(builder, AdvancedFeatures.AdvancedFeatures.OptionalScalars)
    builder.Finish(Schema.End(builder), b"BFBS")
    data = bytes(builder.Output())
    assert Schema.Schema.SchemaBufferHasIdentifier(data, 0)
    read = Schema.Schema.GetRootAs(data)
    assert read.AdvancedFeatures() == 4
    assert read.FbsFiles(0).Filename() == b"a.fbs"
    assert read.FbsFiles(0).IncludedFilenames(0) == b"b.fbs"
    assert not read.FbsFilesIsNone()


@pytest.mark.parametrize(
    ("add", "read", "value"),
    [
        ("AddBaseType", "BaseType", 15),
        ("AddElement", "Element", -3),
        ("AddIndex", "Index", 70000),
        ("AddFixedLength", "FixedLength", 65535),
        ("AddBaseSize", "BaseSize", 2**32 - 1),
        ("AddElementSize", "ElementSize", 9),
    ],
)
def test_each_number_of_a_type_has_a_place_of_its_own(add: str, read: str, value: int) -> None:
    kind = Type.Type.GetRootAs(build(Type, lambda builder: getattr(Type, add)(builder, value)))
    assert getattr(kind, read)() == value


def test_the_numbers_of_the_base_types_are_the_published_ones() -> None:
    numbers = BaseType.BaseType
    assert (numbers.None_, numbers.UType, numbers.String, numbers.Vector, numbers.Obj) == (0, 1, 13, 14, 15)
    assert (numbers.Union, numbers.Array, numbers.Vector64, numbers.MaxBaseType) == (16, 17, 18, 19)


@pytest.mark.parametrize(
    "name",
    "AdvancedFeatures BaseType Enum EnumVal Field KeyValue Object RPCCall Schema SchemaFile Service Type".split(),
)
def test_each_table_is_a_module_that_can_be_imported(name: str) -> None:
    module = import_module(f"zlmdb.flatbuffers.reflection.{name}")
    assert getattr(module, name).__name__ == name
    assert getattr(module, name).__module__ == module.__name__


@pytest.mark.parametrize(
    ("module", "members"),
    [
        (Enum, "Name Values ValuesLength ValuesIsNone IsUnion UnderlyingType Attributes Documentation DeclarationFile"),
        (EnumVal, "Name Value UnionType Documentation Attributes GetRootAsEnumVal EnumValBufferHasIdentifier Init"),
        (KeyValue, "Key Value GetRootAs GetRootAsKeyValue Init"),
        (Object, "Name Fields FieldsLength IsStruct Minalign Bytesize Attributes Documentation DeclarationFile"),
        (Field, "Name Type Id Offset DefaultInteger DefaultReal Deprecated Required Key Optional Padding Offset64"),
    ],
)
def test_a_table_has_the_methods_that_generated_code_has(module: Any, members: str) -> None:
    cls = getattr(module, module.__name__.rpartition(".")[2])
    assert set(dir(cls)) >= set(members.split())
