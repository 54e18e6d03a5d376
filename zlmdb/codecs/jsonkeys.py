# SPDX-License-Identifier: MIT
"""The keys of mappings in JSON, where only strings can be keys.

Types whose plain data is a string (text, UUIDs, dates …) are stored as that string. Any other key is stored as
its own JSON: ``1``, ``true``, ``1.5``, ``[1,"a"]``. Keys of unknown type are left to the encoder.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import types
import typing
from typing import Any, Final

from zlmdb.errors import TableDeclaration, WrongType, WrongValue

from .conversion import Conversion, bare, conversion_of

_OWN_JSON: Final = (int, float, bool, type(None))  # what JSON gives back as it was
_NOT_TEXT: Final = (*_OWN_JSON, tuple, frozenset, dt.timedelta)


def json_key(annotation: Any) -> Conversion:
    """Return how keys of this annotation are stored; raise `TableDeclaration` if they could not be told apart."""
    members = _members(annotation)
    texts = [_is_text(member) for member in members]
    if texts == [True]:
        return conversion_of(members[0], "json")
    if any(texts):
        raise TableDeclaration(
            "the keys of this mapping cannot be told apart in JSON, where all keys are strings",
            got=annotation,
            expected="keys of one type, or of several that are all no text",
            next_step="use CBOR, whose keys keep their types",
        )
    conversion = conversion_of(typing.Union[tuple(members)], "json")  # noqa: UP007 (made of a list)
    kinds = tuple(members) if set(members) <= set(_OWN_JSON) else (object,)
    return _as_json(conversion, (*kinds, int) if float in kinds else kinds)


def _members(annotation: Any) -> list[Any]:
    """Return the types that a key may have."""
    annotation = bare(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return [member for argument in arguments for member in _members(argument)]
    if origin is typing.Literal:
        return list(dict.fromkeys(type(argument) for argument in arguments))
    return [annotation]


def _is_text(annotation: Any) -> bool:
    """Tell whether keys of this type become strings, or are of a type that nobody knows."""
    from .records import record_conversion  # records need the conversions of their keys

    kind = typing.get_origin(annotation) or annotation
    if not isinstance(kind, type):
        return True
    if issubclass(kind, enum.Enum):
        values = [conversion_of(type(member.value), "json").plain(member.value) for member in kind]
        return not issubclass(kind, enum.Flag) and all(isinstance(value, str) for value in values)
    if issubclass(kind, str):
        return True
    is_number = kind.__module__ == "numpy" and not conversion_of(kind, "json").identity
    return not (issubclass(kind, _NOT_TEXT) or is_number or record_conversion(kind, "json"))


def _as_json(conversion: Conversion, kinds: tuple[type, ...]) -> Conversion:
    def to_plain(key: Any) -> str:
        if not isinstance(key, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise WrongType(f"a {type(key).__name__} stands here as a key", got=key, expected=expected)
        plain = conversion.plain(key)
        try:
            return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            kind = WrongType if isinstance(error, TypeError) else WrongValue
            raise kind(f"this key cannot be stored as JSON: {error}", got=key, expected="plain data") from error

    def from_plain(text: str) -> Any:
        key = conversion.value(json.loads(text))
        if not isinstance(key, kinds):
            raise ValueError(text)  # the mapping tells of it
        return key

    return Conversion(to_plain, from_plain)
