# SPDX-License-Identifier: MIT
"""Give the fields that a schema file declares their types, numbers and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from zlmdb.codecs.fbs_model import (
    SCALARS,
    STRING,
    Array,
    Document,
    Enum,
    Field,
    Scalar,
    String,
    Struct,
    Table,
    Type,
    Union,
    Vector,
    inline_size,
)
from zlmdb.codecs.fbs_parser import Parser, Raw, Source, TypeName
from zlmdb.codecs.fbs_tokens import Token, Tokens
from zlmdb.errors import TableDeclaration

_LARGEST: Final = 65_000  # bytes of a table without what it points to: places are 16 bits wide


def parse_file(path: Path, include_paths: tuple[Path, ...]) -> Document:
    """Read a ``.fbs`` file; `TableDeclaration` names line and column, `ConfigError` a file that cannot be read."""
    parser = Parser(include_paths)
    parser.read(path)
    return _resolved(parser)


def parse_text(text: str, include_paths: tuple[Path, ...]) -> Document:
    """Read the text of a ``.fbs`` file; raises as `parse_file` does."""
    parser = Parser(include_paths)
    parser.parse(text, "the schema")
    return _resolved(parser)


def _resolved(parser: Parser) -> Document:
    resolver = _Resolver(parser.document)
    for source in parser.sources:
        resolver.add(source)
    for source in parser.sources:
        if isinstance(source.target, Struct):
            resolver.lay_out(source.target, ())
    for source in parser.sources:
        if isinstance(source.target, Table):
            resolver.resolve_table(source, source.target)
    if parser.root:
        tokens, namespace, name = parser.root
        root = resolver.type(tokens, namespace, name)
        if not isinstance(root, Table):
            tokens.fail("the root is no table", token=name.token, expected="the name of a table")
        parser.document.root = root
    return parser.document


def check_table(table: Table) -> None:
    """Raise `TableDeclaration` for a table that has more fields than can be stored."""
    if sum(sum(inline_size(field.type)) for field in table.fields) + 2 * len(table.fields) > _LARGEST:
        raise TableDeclaration(
            "the table is too large", where=table.name, expected=f"fields of less than {_LARGEST} bytes"
        )


class _Resolver:
    def __init__(self, document: Document) -> None:
        self._types = document.types
        self._sources: dict[Struct, Source] = {}
        self._done: set[Struct] = set()

    def add(self, source: Source) -> None:
        """Resolve what others depend on: members of unions; structs are laid out later, and only once."""
        if isinstance(source.target, Union):
            self._resolve_union(source, source.target)
        elif isinstance(source.target, Struct):
            self._sources[source.target] = source

    def type(self, tokens: Tokens, namespace: str, written: TypeName) -> Type:
        element = self._named(tokens, namespace, written)
        if written.vector:
            if isinstance(element, Union):
                tokens.fail(
                    "a vector of unions", token=written.token, expected="another type", next_step="make a table of it"
                )
            return Vector(element)
        if written.length is None:
            return element
        if written.length < 1 or not isinstance(element, Scalar | Enum | Struct):
            tokens.fail("not an array", token=written.token, expected="one scalar, enum or struct at least")
        return Array(element, written.length)

    def _named(self, tokens: Tokens, namespace: str, written: TypeName) -> Type:
        if written.name == "string":
            return STRING
        if written.name in SCALARS:
            return SCALARS[written.name]
        scope = namespace.split(".") if namespace else []
        for depth in range(len(scope), -1, -1):  # the nearest namespace comes first
            found = self._types.get(".".join([*scope[:depth], written.name]))
            if found is not None:
                return found
        return tokens.fail(
            f"no type has the name {written.name}", token=written.token, expected="a declared or built-in type"
        )

    def _resolve_union(self, source: Source, union: Union) -> None:
        number = 0
        for token, written, given in source.members:
            number = number + 1 if given is None else given
            kind = self.type(source.tokens, source.namespace, written)
            if not isinstance(kind, Table | Struct | String):
                source.tokens.fail("not for a union", token=written.token, expected="a table, a struct or string")
            taken = token.text in union.members or number in [other for other, _ in union.members.values()]
            if taken or token.text == "NONE" or not 0 < number < 256:
                source.tokens.fail("the name or the number is taken", token=token, expected="1 to 255, each once")
            union.members[token.text] = number, kind

    # --- structs

    def lay_out(self, struct: Struct, outer: tuple[Struct, ...]) -> None:
        """Place the fields of a struct, each at a multiple of its own alignment."""
        if struct in self._done:
            return
        source = self._sources[struct]
        self._done.add(struct)
        end = 0
        for raw in source.fields:
            kind = self.type(source.tokens, source.namespace, raw.type)
            inner = kind.element if isinstance(kind, Array) else kind
            if inner is struct or inner in outer or not isinstance(inner, Scalar | Enum | Struct) or raw.default:
                source.tokens.fail(
                    "not for a struct", token=raw.token, expected="scalars, enums, other structs; no defaults"
                )
            if isinstance(inner, Struct):
                self.lay_out(inner, (*outer, struct))
            size, align = inline_size(kind)
            end += -end % align
            _check_name(source.tokens, raw.token, struct.fields)
            struct.fields.append(Field(raw.token.text, kind, end))
            struct.align = max(struct.align, align)
            end += size
        if not end:
            source.tokens.fail("a struct without fields", expected="one field at least")
        struct.align = max(struct.align, _forced(source))
        struct.size = end + -end % struct.align
        if struct.size > _LARGEST:
            source.tokens.fail("the struct is too large", expected=f"{_LARGEST} bytes or less")

    # --- tables

    def resolve_table(self, source: Source, table: Table) -> None:
        """Give each field of a table its number; a union takes the number before its own for its kind."""
        number = -1
        given = [raw for raw in source.fields if "id" in raw.attributes]
        if given and len(given) != len(source.fields):
            missing = next(raw for raw in source.fields if "id" not in raw.attributes)
            source.tokens.fail("a field without id:", token=missing.token, expected="all fields with id:, or none")
        for raw in source.fields:
            kind = self.type(source.tokens, source.namespace, raw.type)
            if isinstance(kind, Array):
                source.tokens.fail("an array outside a struct", token=raw.type.token, expected="a vector")
            number += 2 if isinstance(kind, Union) else 1
            if given:
                number = _id(source, raw)
            default = _default(source.tokens, raw, kind)
            required, deprecated = "required" in raw.attributes, "deprecated" in raw.attributes
            if required and isinstance(kind, Scalar | Enum):
                source.tokens.fail("a scalar cannot be required", token=raw.token, expected="a string, vector, …")
            _check_name(source.tokens, raw.token, table.fields)
            if isinstance(kind, Union):
                kind_of = Token("name", f"{raw.token.text}_type", raw.token.at)
                _check_name(source.tokens, kind_of, table.fields)
                table.fields.append(
                    Field(kind_of.text, kind.kinds, number - 1, 0, deprecated=deprecated, kind_of=raw.token.text)
                )
            table.fields.append(Field(raw.token.text, kind, number, default, required, deprecated))
        table.fields.sort(key=lambda field: field.number)
        if [field.number for field in table.fields] != list(range(len(table.fields))):
            token = source.fields[0].token
            source.tokens.fail("the ids leave one out, or give one twice", token=token, expected="0, 1, 2, …")
        check_table(table)


def _check_name(tokens: Tokens, token: Token, fields: list[Field]) -> None:
    if any(token.text == field.name for field in fields):
        tokens.fail("the name is taken", token=token, expected="another name")


def _forced(source: Source) -> int:
    token = source.attributes.get("force_align")
    if token is None:
        return 1
    if not token.text.isdecimal() or int(token.text) not in (1, 2, 4, 8, 16):
        source.tokens.fail("not an alignment", token=token, expected="1, 2, 4, 8 or 16")
    return int(token.text)


def _id(source: Source, raw: Raw) -> int:
    token = raw.attributes["id"]
    if token is None or not token.text.isdecimal():
        return source.tokens.fail("not a number of a field", token=token or raw.token, expected="id: 0, or more")
    return int(token.text)


def _default(tokens: Tokens, raw: Raw, kind: Type) -> Any:
    token = raw.default
    if token is None:
        if isinstance(kind, Enum) and not kind.flags and 0 not in kind.values.values():
            tokens.fail("the enum has no 0 to be the default", token=raw.token, expected="a default behind '='")
        return _absent(kind)
    if token.text == "null":
        return None
    if isinstance(kind, Enum | Scalar):
        try:
            return _enum_value(kind, token) if isinstance(kind, Enum) else _scalar_default(kind, token.text)
        except (ValueError, KeyError):
            tokens.fail("not a default of this type", token=token, expected=f"a value of {kind.name}")
    if isinstance(kind, Vector) and token.text == "[]":
        return ()
    if isinstance(kind, String) and token.kind == "string":
        return token.text[1:-1]
    return tokens.fail("this type has no such default", token=token, expected="null, or none at all")


def _absent(kind: Type) -> Any:
    if isinstance(kind, Enum):
        return 0
    return _scalar_default(kind, "0") if isinstance(kind, Scalar) else None


def _scalar_default(kind: Scalar, text: str) -> int | float | bool:
    """Return the default that a schema writes so; raises ValueError."""
    if kind.code == "?":
        return {"true": True, "false": False, "1": True, "0": False}[text]
    if not kind.high:
        return float(text)
    value = int(text, 16 if "x" in text.lower() else 10)
    if not kind.low <= value <= kind.high:
        raise ValueError(text)
    return value


def _enum_value(kind: Enum, token: Token) -> int:
    if token.kind == "number":
        return int(_scalar_default(kind.base, token.text))
    value = 0
    for name in token.text.strip('"').split():
        value |= kind.values[name.rpartition(".")[2]]
    return value
