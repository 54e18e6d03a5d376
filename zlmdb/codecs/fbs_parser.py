# SPDX-License-Identifier: MIT
"""Read ``.fbs`` files: FlatBuffers' language of schemas, by recursive descent.

Names may be used before they are declared, so fields are read first and get their types, numbers and defaults
when all files are read (`zlmdb.codecs.fbs_resolve`). Attributes without influence on stored bytes are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from zlmdb.codecs.fbs_model import SCALARS, UBYTE, Document, Enum, Struct, Table, Union
from zlmdb.codecs.fbs_tokens import Token, Tokens
from zlmdb.errors import ConfigError


class TypeName(NamedTuple):
    """A type as it is written: a name, in brackets for a vector, with a length for an array."""

    token: Token
    name: str
    vector: bool = False
    length: int | None = None


class Raw(NamedTuple):
    """A field as it is written."""

    token: Token
    type: TypeName
    default: Token | None
    attributes: dict[str, Token | None]


@dataclass(eq=False)
class Source:
    """A declaration with fields, or a union, whose names are yet to be looked up."""

    tokens: Tokens
    namespace: str
    target: Table | Struct | Union
    fields: list[Raw] = field(default_factory=list)
    members: list[tuple[Token, TypeName, int | None]] = field(default_factory=list)
    attributes: dict[str, Token | None] = field(default_factory=dict)


class Parser:
    """Reads a file and those it includes into `document` and `sources`."""

    def __init__(self, include_paths: tuple[Path, ...]) -> None:
        self.document = Document()
        self.sources: list[Source] = []
        self.root: tuple[Tokens, str, TypeName] | None = None
        self._paths = include_paths
        self._seen: set[Path] = set()
        self._namespace = ""
        self._statements: dict[str, Callable[[Tokens], None]] = {
            "namespace": self._read_namespace,
            "include": lambda tokens: tokens.fail("an include behind a declaration", expected="includes at the top"),
            "attribute": self._read_attribute,
            "enum": self._read_enum,
            "union": self._read_union,
            "struct": self._read_fields,
            "table": self._read_fields,
            "root_type": self._read_root,
            "file_identifier": self._read_identifier,
            "file_extension": self._read_attribute,
            "rpc_service": self._skip_service,
        }

    def read(self, path: Path, main: bool = True) -> None:
        """Read a file, unless it was read before."""
        path = path.resolve()
        if path not in self._seen:
            self._seen.add(path)
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"the schema cannot be read: {error}", got=str(path), expected="a .fbs file in UTF-8"
                ) from error
            self.parse(text, path.name, path.parent, main)

    def parse(self, text: str, file: str, folder: Path | None = None, main: bool = True) -> None:
        """Read the text of a file; files that it includes are looked for in ``folder`` first."""
        tokens = Tokens(text, file)
        while tokens.next.text == "include":
            self._include(tokens, folder)
        self._namespace = ""
        while tokens.next.kind != "end":
            self._statement(tokens, main)

    def _include(self, tokens: Tokens, folder: Path | None) -> None:
        tokens.take()
        token = tokens.next
        name = tokens.string("the path of a .fbs file, in quotes")
        tokens.expect(";", "behind the include")
        places = [folder / name] if folder else []
        places += [path / name for path in self._paths]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            tokens.fail(
                "the included file is missing",
                token=token,
                expected=f"a file in {', '.join(str(path.parent) for path in places) or 'one of include_paths'}",
                next_step="pass include_paths= with the folder that holds it",
            )
        self.read(found, main=False)

    def _statement(self, tokens: Tokens, main: bool) -> None:
        keyword = tokens.next
        statement = self._statements.get(keyword.text)
        if statement is None:
            tokens.fail("not a declaration", expected=f"one of {', '.join(self._statements)}")
        before = self.root, self.document.file_identifier
        statement(tokens)
        if not main:  # the root of an included file is not the root of the one that includes it
            self.root, self.document.file_identifier = before

    # --- statements

    def _read_namespace(self, tokens: Tokens) -> None:
        tokens.take()
        self._namespace = "" if tokens.next.text == ";" else self._dotted(tokens, "a namespace")
        tokens.expect(";", "behind the namespace")

    def _read_attribute(self, tokens: Tokens) -> None:
        tokens.take()
        if tokens.next.kind == "name":
            tokens.take()
        else:
            tokens.string("a name in quotes")
        tokens.expect(";", "behind it")

    def _read_root(self, tokens: Tokens) -> None:
        tokens.take()
        token = tokens.next
        self.root = tokens, self._namespace, TypeName(token, self._dotted(tokens, "a table"))
        tokens.expect(";", "behind the root type")

    def _read_identifier(self, tokens: Tokens) -> None:
        tokens.take()
        token = tokens.next
        identifier = tokens.string("four characters in quotes").encode()
        if len(identifier) != 4:
            tokens.fail("the identifier has another length", token=token, expected="four bytes")
        self.document.file_identifier = identifier
        tokens.expect(";", "behind the identifier")

    def _skip_service(self, tokens: Tokens) -> None:
        while tokens.next.kind != "end":  # services are of no concern to records
            if tokens.take().text == "}":
                return
        tokens.fail("the service has no end", expected="'}'")

    def _read_enum(self, tokens: Tokens) -> None:
        tokens.take()
        token = tokens.name("the enum")
        tokens.expect(":", "and an integer type behind the name of the enum")
        base = SCALARS.get(tokens.next.text)
        if base is None or not base.high:
            tokens.fail("not an integer type", expected="byte, ubyte, … or ulong")
        tokens.take()
        enum = Enum(self._full(token), base, flags="bit_flags" in self._attributes(tokens))
        self._declare(tokens, token, enum)
        following = 0
        for name in self._items(tokens, "enum"):
            value = self._integer(tokens) if tokens.accept("=") else following
            following = value + 1
            stored = 1 << value if enum.flags and 0 <= value < 64 else value
            if name.text in enum.values or not base.low <= stored <= base.high:
                tokens.fail(
                    "the name is taken, or its value does not fit", token=name, expected=f"{base.low} to {base.high}"
                )
            enum.values[name.text] = stored

    def _read_union(self, tokens: Tokens) -> None:
        tokens.take()
        token = tokens.name("the union")
        union = Union(self._full(token))
        self._declare(tokens, token, union)
        if tokens.accept(":"):  # the type of its numbers: only that of old times is stored everywhere
            if SCALARS.get(tokens.next.text) is not UBYTE:
                tokens.fail("a union with numbers of another type", expected="ubyte")
            tokens.take()
        self._attributes(tokens)
        source = Source(tokens, self._namespace, union)
        self.sources.append(source)
        for item in self._items(tokens, "union", dotted=True):
            member = TypeName(item, item.text)
            if tokens.accept(":"):
                member = TypeName(tokens.next, self._dotted(tokens, "a table, a struct or string"))
            name = Token("name", item.text.replace(".", "_"), item.at)
            source.members.append((name, member, self._integer(tokens) if tokens.accept("=") else None))

    def _read_fields(self, tokens: Tokens) -> None:
        keyword = tokens.take().text
        token = tokens.name(f"the {keyword}")
        target: Table | Struct = Table(self._full(token)) if keyword == "table" else Struct(self._full(token))
        self._declare(tokens, token, target)
        source = Source(tokens, self._namespace, target, attributes=self._attributes(tokens))
        self.sources.append(source)
        tokens.expect("{", f"and the fields of the {keyword}")
        while not tokens.accept("}"):
            name = tokens.name("a field, or '}'")
            tokens.expect(":", "and a type behind the name of the field")
            kind = self._type(tokens)
            default = self._default(tokens) if tokens.accept("=") else None
            source.fields.append(Raw(name, kind, default, self._attributes(tokens)))
            tokens.expect(";", "behind the field")

    # --- parts of statements

    def _type(self, tokens: Tokens) -> TypeName:
        token = tokens.next
        if not tokens.accept("["):
            return TypeName(token, self._dotted(tokens, "a type"))
        if tokens.next.text == "[":
            tokens.fail("a vector of vectors", expected="the name of a type", next_step="put the inner one in a table")
        name = self._dotted(tokens, "a type")
        count = None
        if tokens.accept(":"):
            count = self._integer(tokens)
        tokens.expect("]", "behind the type of the elements")
        return TypeName(token, name, count is None, count)

    def _default(self, tokens: Tokens) -> Token:
        if tokens.next.kind == "name":
            token = tokens.next
            return Token("name", self._dotted(tokens, "a value"), token.at)
        if tokens.next.kind in ("number", "string"):
            return tokens.take()
        if tokens.accept("["):
            tokens.expect("]", "as the only default that a vector has")
            return Token("sign", "[]", tokens.next.at)
        return tokens.fail("not a default", expected="a number, a name, a string or []")

    def _attributes(self, tokens: Tokens) -> dict[str, Token | None]:
        found: dict[str, Token | None] = {}
        if tokens.accept("("):
            while True:
                token = tokens.name("an attribute")
                found[token.text] = tokens.take() if tokens.accept(":") else None
                if not tokens.accept(","):
                    break
            tokens.expect(")", "behind the attributes")
        return found

    def _items(self, tokens: Tokens, what: str, dotted: bool = False) -> Iterator[Token]:
        """Yield the name of each item; the caller takes what stands between the name and the comma."""
        tokens.expect("{", f"and the names of the {what}")
        while not tokens.accept("}"):
            token = tokens.next
            yield Token("name", self._dotted(tokens, "an item, or '}'"), token.at) if dotted else tokens.name("an item")
            self._attributes(tokens)
            if not tokens.accept(","):
                tokens.expect("}", f"or ',' behind an item of the {what}")
                return

    def _integer(self, tokens: Tokens) -> int:
        token = tokens.kind("number", "an integer")
        try:
            return int(token.text, 0) if "x" in token.text.lower() else int(token.text)
        except ValueError:
            tokens.fail("not an integer", token=token, expected="an integer")

    def _dotted(self, tokens: Tokens, what: str) -> str:
        name = tokens.name(what).text
        while tokens.accept("."):
            name += "." + tokens.name(what).text
        return name

    def _full(self, token: Token) -> str:
        return f"{self._namespace}.{token.text}" if self._namespace else token.text

    def _declare(self, tokens: Tokens, token: Token, declared: Enum | Union | Struct | Table) -> None:
        if declared.name in self.document.types or token.text in SCALARS or token.text == "string":
            tokens.fail("the name is taken", token=token, expected="another name")
        self.document.types[declared.name] = declared
