# SPDX-License-Identifier: MIT
"""How values become what JSON and CBOR can hold, and back, told by their annotation.

A `Conversion` of two Nones means that the format holds the value as it is; nothing is called then.
None passes every conversion unchanged, so ``Optional[T]`` needs what ``T`` needs.

What stands in sets and keys must be hashable as plain data too. CBOR can hold that; there such parts have a
format of their own, `HASHABLE`, with tuples for lists and ``frozendict`` for maps, which is how cbor2 reads them.
JSON has neither: its sets are lists, and keys that are no strings are JSON themselves (see `jsonkeys`).
"""

from __future__ import annotations

import base64
import collections.abc
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import types
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from zlmdb.errors import DecodeError, TableDeclaration, WrongType

from .filling import Filling
from .generics import field_types
from .timestamps import timestamp_ns

Function = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    """A pair of functions between values and plain data; None where nothing is to be done.

    With ``filling``, ``from_plain`` does that, where it can.
    """

    to_plain: Function | None = None
    from_plain: Function | None = None
    filling: Filling | None = None

    def plain(self, value: Any) -> Any:
        """Return the value as plain data."""
        return self.to_plain(value) if self.to_plain else value

    def value(self, plain: Any) -> Any:
        """Return the value that plain data stands for."""
        return self.from_plain(plain) if self.from_plain else plain

    @property
    def identity(self) -> bool:
        """Tell whether there is nothing to do in either direction."""
        return self.to_plain is None and self.from_plain is None


IDENTITY: Final = Conversion()
HASHABLE: Final = "cbor key"
"""The format of what stands in the sets and keys of CBOR."""
_TO_LIST: Final = (list, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Iterable)
_TO_DICT: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_TO_SET: Final = (set, collections.abc.Set, collections.abc.MutableSet)


def _checked(kind: type, write: Function, read: Function) -> Conversion:
    """Convert instances of one class, with errors that say what was found instead."""

    def to_plain(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, kind):
            raise WrongType(f"a {type(value).__name__} stands here", got=value, expected=f"a {kind.__name__}")
        return write(value)

    def from_plain(plain: Any) -> Any:
        if plain is None:
            return None
        try:
            return read(plain)
        except (TypeError, ValueError, AttributeError, KeyError, ArithmeticError, StopIteration) as error:
            what = "the stored value is of another form"
            raise DecodeError(what, got=plain, expected=f"a {kind.__name__}") from error

    return Conversion(to_plain, from_plain)


# --- scalars -----------------------------------------------------------------------------------------


def _text_to_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _bytes_to_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_microseconds(count: int) -> dt.timedelta:
    return dt.timedelta(microseconds=count)


def _to_microseconds(span: dt.timedelta) -> int:
    return span // dt.timedelta(microseconds=1)


def _aware_or_text(when: dt.datetime) -> Any:
    # cbor2 refuses times without a zone: they are stored as ISO text, which no datetime decodes to
    return when if when.tzinfo else when.isoformat()


def _datetime_of(plain: Any) -> dt.datetime:
    return plain if isinstance(plain, dt.datetime) else dt.datetime.fromisoformat(plain)


_EVERYWHERE: Final = {
    dt.time: _checked(dt.time, dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: _checked(dt.timedelta, _to_microseconds, _from_microseconds),
}
_CBOR: Final = {
    **_EVERYWHERE,
    dt.datetime: _checked(dt.datetime, _aware_or_text, _datetime_of),
    uuid.UUID: IDENTITY,
    dt.date: IDENTITY,
    decimal.Decimal: IDENTITY,
    fractions.Fraction: IDENTITY,
    ipaddress.IPv4Address: IDENTITY,
    ipaddress.IPv6Address: IDENTITY,
    bytearray: Conversion(None, _checked(bytearray, bytes, bytearray).from_plain),
}
_SCALARS: Final[dict[str, dict[Any, Conversion]]] = {
    "cbor": _CBOR,
    HASHABLE: {**_CBOR, bytearray: _checked(bytearray, bytes, bytearray)},
    "json": {
        **_EVERYWHERE,
        uuid.UUID: _checked(uuid.UUID, str, uuid.UUID),
        bytes: _checked(bytes, _bytes_to_text, _text_to_bytes),
        bytearray: _checked(bytearray, _bytes_to_text, lambda text: bytearray(_text_to_bytes(text))),
        dt.datetime: _checked(dt.datetime, dt.datetime.isoformat, _datetime_of),
        dt.date: _checked(dt.date, dt.date.isoformat, dt.date.fromisoformat),
        decimal.Decimal: _checked(decimal.Decimal, str, decimal.Decimal),
        fractions.Fraction: _checked(fractions.Fraction, str, fractions.Fraction),
        ipaddress.IPv4Address: _checked(ipaddress.IPv4Address, str, ipaddress.IPv4Address),
        ipaddress.IPv6Address: _checked(ipaddress.IPv6Address, str, ipaddress.IPv6Address),
    },
}
# subclasses of these come back as what they were; the formats themselves know only the base
_BASES: Final = (str, int, float, bytes, list, dict)


def _enumeration(kind: type[enum.Enum], fmt: str) -> Conversion:
    """Convert members by their values, which may themselves need a conversion."""
    stored = {member: conversion_of(type(member.value), fmt).plain(member.value) for member in kind}

    def read(plain: Any) -> enum.Enum:
        try:
            return kind(plain)
        except (ValueError, TypeError):
            return next(member for member in kind if stored[member] == plain)

    def write(member: enum.Enum) -> Any:
        return stored.get(member, member.value)  # combinations of flags are no members

    return _checked(kind, write, read)


def _numpy_scalar(kind: Any) -> Conversion | None:
    """Convert NumPy's scalars by their Python value, datetime64 by its nanoseconds."""
    if getattr(kind, "__module__", None) != "numpy" or not hasattr(kind, "tobytes") or not hasattr(kind, "dtype"):
        return None
    if kind.__name__ == "datetime64":
        return _checked(kind, timestamp_ns, lambda count: kind(int(count), "ns"))
    if kind.__name__ == "ndarray":
        return None
    return _checked(kind, lambda scalar: scalar.item(), kind)


def _passing_none(conversion: Conversion) -> Conversion:
    plain, value = conversion.plain, conversion.value
    return Conversion(
        lambda record: None if record is None else plain(record),
        lambda stored: None if stored is None else value(stored),
    )


def _class_conversion(kind: type, arguments: tuple[Any, ...], fmt: str) -> Conversion:
    from .records import record_conversion  # records need the conversions of their fields

    if found := _SCALARS[fmt].get(kind):
        return found
    if issubclass(kind, enum.Enum):
        return _enumeration(kind, fmt)
    if found := _numpy_scalar(kind):
        return found
    if found := record_conversion(kind, fmt, arguments):
        return _passing_none(found)
    if kind in (set, frozenset, list):
        return _collection(kind, (), fmt)
    if kind is dict or typing.is_typeddict(kind):
        return _mapping((), fmt)
    if kind in _BASES:
        return IDENTITY
    if issubclass(kind, tuple):
        return _tuple(kind, arguments, fmt)
    if issubclass(kind, (*_BASES,)) and not issubclass(kind, bool):
        base = next(base for base in _BASES if issubclass(kind, base))
        return _checked(kind, conversion_of(base, fmt).to_plain or base, kind)
    return IDENTITY


def is_plain(annotation: Any, fmt: str) -> bool:
    """Tell whether the format holds values of this type without further ado."""
    if (
        annotation is Any
        or typing.get_origin(annotation)
        or not isinstance(annotation, type)
        or typing.is_typeddict(annotation)
    ):
        return True
    return annotation in (*_BASES, bool, object, type(None), set, frozenset, tuple) or annotation in _SCALARS[fmt]


# --- composed types ----------------------------------------------------------------------------------


def conversion_of(annotation: Any, fmt: str) -> Conversion:
    """Return how values of this annotation are stored in ``fmt``, which is ``"json"`` or ``"cbor"``.

    What is not known (Any, protocols, foreign classes) is taken for plain data: the format itself refuses
    what it cannot hold. Raises `TableDeclaration` where stored data could not be told apart.
    """
    annotation = bare(annotation)
    if isinstance(annotation, (str, typing.ForwardRef)):
        raise TableDeclaration(
            "the name of a record class does not say which class is meant",
            got=annotation,
            expected="the class itself",
            next_step="pass the class, and define it before the table",
        )
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(annotation, arguments, fmt)
    if origin is tuple:
        return _tuple(tuple, arguments, fmt)
    if origin in _TO_SET or origin is frozenset:
        return _collection(frozenset if origin is frozenset else set, arguments, fmt)
    if origin in _TO_LIST or origin is collections.deque:
        return _collection(list if origin in _TO_LIST else collections.deque, arguments, fmt)
    if origin in _TO_DICT or (isinstance(origin, type) and issubclass(origin, dict)):
        return _mapping(arguments, fmt)
    kind = origin or annotation
    return _class_conversion(kind, arguments, fmt) if isinstance(kind, type) else IDENTITY


def bare(annotation: Any) -> Any:
    """Strip what says nothing about storage: Annotated, Final, NewType, type aliases."""
    while True:
        if typing.get_origin(annotation) in (typing.Annotated, typing.Final):
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _union(annotation: Any, members: tuple[Any, ...], fmt: str) -> Conversion:
    conversions = [conversion_of(member, fmt) for member in members if member is not type(None)]
    if all(conversion.identity for conversion in conversions):
        return IDENTITY
    if len(conversions) == 1:
        return conversions[0]
    raise TableDeclaration(
        f"the members of this union cannot be told apart in {fmt.upper()}",
        got=annotation,
        expected="one type, or one type and None",
        next_step="give the class marshal and parse, or use CBOR, which knows more types than JSON",
    )


def _collection(kind: Any, arguments: tuple[Any, ...], fmt: str) -> Conversion:
    """Convert lists, sets and frozen sets with equal elements."""
    hashed = kind in (set, frozenset) and fmt != "json"
    element = conversion_of(arguments[0], HASHABLE if hashed else fmt) if arguments else IDENTITY
    # JSON knows lists alone, CBOR knows sets too and gives them back as set, in sets and keys as frozenset
    native = (kind is list and fmt != HASHABLE) or (kind is set and fmt == "cbor")
    if native and element.identity:
        return IDENTITY
    store = (frozenset if fmt == HASHABLE else set) if hashed else _array(fmt)
    write, read = element.to_plain, element.from_plain

    def to_plain(values: Any) -> Any:
        plain = values if write is None else [write(value) for value in values]
        return _hashed(store, plain) if hashed else store(plain)

    def from_plain(values: Any) -> Any:
        if not isinstance(values, (list, tuple, set, frozenset)):
            raise ValueError(values)
        return kind(values if read is None else [read(value) for value in values])

    expected = collections.abc.Iterable if kind is list else kind
    return _checked(expected, to_plain, from_plain)


def _array(fmt: str) -> Callable[[Any], Any]:
    return tuple if fmt == HASHABLE else list


def _hashed(make: Function, parts: Any) -> Any:
    """Make a set or map of parts that are plain already; fields that are not compared may not be hashable."""
    try:
        return make(parts)
    except TypeError as error:
        what = f"a key or element cannot be hashed: {error}"
        raise WrongType(what, got=parts, expected="keys and elements hashable in all their parts") from error


def _tuple(kind: Any, arguments: tuple[Any, ...], fmt: str) -> Conversion:
    """Convert tuples, which both formats give back as lists, and named tuples."""
    make, store = getattr(kind, "_make", kind), _array(fmt)
    if kind is not tuple:
        hints = field_types(kind, arguments)
        arguments = tuple(hints.get(field, Any) for field in getattr(kind, "_fields", ()))
    if not arguments or (len(arguments) == 2 and arguments[1] is Ellipsis):
        element = conversion_of(arguments[0], fmt) if arguments else IDENTITY
        write, read = element.to_plain, element.from_plain
        return _checked(
            tuple,
            lambda values: store(values if write is None else [write(value) for value in values]),
            lambda values: make(_listed(values) if read is None else [read(value) for value in _listed(values)]),
        )
    elements = [conversion_of(argument, fmt) for argument in arguments]
    return _checked(
        tuple,
        lambda values: store([element.plain(value) for element, value in zip(elements, values, strict=True)]),
        lambda values: make([e.value(value) for e, value in zip(elements, _listed(values), strict=True)]),
    )


def _listed(values: Any) -> Any:
    if not isinstance(values, (list, tuple)):
        raise ValueError(values)
    return values


def _mapping(arguments: tuple[Any, ...], fmt: str) -> Conversion:
    key = _key_conversion(arguments[0], fmt) if arguments else IDENTITY
    value = conversion_of(arguments[1], fmt) if len(arguments) > 1 else IDENTITY
    if key.identity and value.identity and fmt != HASHABLE:
        return IDENTITY
    make = frozen_map if fmt == HASHABLE else dict
    return _checked(
        collections.abc.Mapping,
        lambda items: _hashed(make, [(key.plain(k), value.plain(v)) for k, v in items.items()]),
        lambda items: {key.value(k): value.value(v) for k, v in items.items()},
    )


def _key_conversion(annotation: Any, fmt: str) -> Conversion:
    if fmt != "json":
        return conversion_of(annotation, HASHABLE)
    from .jsonkeys import json_key  # keys are converted as values first

    return json_key(annotation)


# --- plain data in sets and keys ----------------------------------------------------------------------


def frozen_map(items: Any) -> Any:
    """Return a map that can be hashed and that cbor2 writes as a map."""
    from cbor2 import frozendict

    return frozendict(items)


def frozen(plain: Any) -> Any:
    """Return plain data with hashable containers in place of lists, maps and sets."""
    if isinstance(plain, (list, tuple)):
        return tuple(frozen(part) for part in plain)
    if isinstance(plain, (set, frozenset)):
        return frozenset(plain)
    if isinstance(plain, collections.abc.Mapping):
        return frozen_map((key, frozen(part)) for key, part in plain.items())
    return plain


def thawed(plain: Any) -> Any:
    """Return what `frozen` was given, as CBOR would give it back: tuples become lists."""
    if isinstance(plain, (list, tuple)):
        return [thawed(part) for part in plain]
    if isinstance(plain, frozenset):
        return set(plain)
    if isinstance(plain, collections.abc.Mapping):
        return {key: thawed(part) for key, part in plain.items()}
    return plain
