# SPDX-License-Identifier: MIT
"""Records: how instances of a class are stored as a map of their fields in JSON and CBOR.

There are three ways, and the first that fits is taken:

1. the class has a method ``marshal()`` and a static or class method ``parse(data)`` (or ``unmarshal``);
2. it is a dataclass or an attrs class: field by field, converted by annotation where the format needs it;
3. the table was given ``marshal=`` and ``unmarshal=`` (these win over the other two).

Fields that stored data lacks get the default of the class; fields that the class lacks are an error.

Reading calls the constructor of an attrs class, and of a dataclass that has a ``__post_init__`` or an ``__init__``
of its own: stored values pass through it, and through converters and validators, once more. What these do must
leave their own result as it is. Other dataclasses are filled without any call.
"""

from __future__ import annotations

import dataclasses
import inspect
import threading
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from zlmdb.errors import DecodeError, EncodeError, TableDeclaration, WrongType, WrongValue

from .conversion import (
    HASHABLE,
    IDENTITY,
    Conversion,
    conversion_of,
    frozen,
    frozen_map,
    is_plain,
    thawed,
)
from .filling import Filling, filling
from .generics import field_types

_THREE_WAYS: Final = (
    "make it a dataclass or an attrs class, give it marshal() and a static parse(), or give the table marshal= and "
    "unmarshal="
)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    argument: str | None
    """The name of the constructor's argument; None if the constructor does not take the field."""
    annotation: Any
    required: bool
    default: Callable[[], Any] | None = None
    """Makes the default value; known for dataclasses only."""


def top_conversion(record: Any, fmt: str) -> Conversion:
    """Return how the values of a table are stored: ``record`` is None, a class or a generic alias.

    Raises `TableDeclaration` for a class that has none of the three ways.
    """
    if record is None:
        return IDENTITY
    cls = typing.get_origin(record) or record
    if isinstance(cls, type) and (found := record_conversion(cls, fmt, typing.get_args(record))):
        return found  # None is no record, while a field may hold None in a record's place
    conversion = conversion_of(record, fmt)
    if not conversion.identity or is_plain(record, fmt):
        return conversion
    raise TableDeclaration(
        f"the class {record.__name__} cannot be stored as {fmt.upper()}",
        got=record,
        expected="a dataclass, an attrs class, or a class with marshal() and parse()",
        next_step=_THREE_WAYS,
    )


def record_conversion(cls: type, fmt: str, arguments: tuple[Any, ...] = ()) -> Conversion | None:
    """Return how instances of a record class are stored, or None if the class is no record.

    ``arguments`` are those of a generic class. Raises `TableDeclaration` for a class that could not be read again.
    """
    if hooks := _own_hooks(cls):
        return _hashable(hooks, frozen, thawed) if fmt == HASHABLE else hooks
    fields = _fields(cls)
    if fields is None:
        return None
    _check_constructor(cls, fields)
    conversion = _LazyRecord(cls, arguments, fields, fmt).conversion()
    return _hashable(conversion, frozen_map, _as_dict) if fmt == HASHABLE else conversion


def _hashable(conversion: Conversion, freeze: Callable[[Any], Any], thaw: Callable[[Any], Any]) -> Conversion:
    return Conversion(lambda value: freeze(conversion.plain(value)), lambda plain: conversion.value(thaw(plain)))


def _as_dict(plain: Any) -> Any:
    return dict(plain) if isinstance(plain, Mapping) else plain


def _check_constructor(cls: type, fields: list[_Field]) -> None:
    """Refuse a class whose constructor needs what is no field, such as an InitVar without a default."""
    if _is_filled_directly(cls, fields):
        return
    known = {field.argument for field in fields}
    _, *parameters = inspect.signature(inspect.getattr_static(cls, "__init__")).parameters.values()
    for parameter in parameters:
        needed = parameter.default is parameter.empty
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if needed and named and parameter.name not in known:
            raise TableDeclaration(
                f"{cls.__name__} could be written and not read: its constructor needs {parameter.name}, "
                "which is no field and so is not stored",
                got=cls,
                expected="a constructor that needs nothing but fields",
                next_step=f"give {parameter.name} a default, or give the table marshal= and unmarshal=",
            )


def _own_hooks(cls: type) -> Conversion | None:
    if not callable(getattr(cls, "marshal", None)):
        return None
    for name in ("parse", "unmarshal"):
        if isinstance(inspect.getattr_static(cls, name, None), (staticmethod, classmethod)):
            return Conversion(_marshaller(cls), getattr(cls, name))
    return None


def _marshaller(cls: type) -> Callable[[Any], Any]:
    def to_plain(value: Any) -> Any:
        if isinstance(value, cls):
            return value.marshal()  # type: ignore[attr-defined]
        raise WrongType(f"a {type(value).__name__} stands here", got=value, expected=f"a {cls.__name__}")

    return to_plain


def _fields(cls: Any) -> list[_Field] | None:
    if dataclasses.is_dataclass(cls):
        return [_dataclass_field(field) for field in dataclasses.fields(cls)]
    if (attributes := getattr(cls, "__attrs_attrs__", None)) is not None:
        return [_attrs_field(attribute) for attribute in attributes]
    return None


def _dataclass_field(field: dataclasses.Field[Any]) -> _Field:
    default: Callable[[], Any] | None = None
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory
    elif (value := field.default) is not dataclasses.MISSING:
        default = lambda: value  # noqa: E731 (a def would shadow the name for the checker)
    required = field.init and default is None
    return _Field(field.name, field.name if field.init else None, field.type, required, default)


def _attrs_field(attribute: Any) -> _Field:
    import attr

    required = attribute.init and attribute.default is attr.NOTHING
    return _Field(attribute.name, attribute.alias if attribute.init else None, attribute.type, required)


# --- building the functions --------------------------------------------------------------------------


class _InProgress(threading.local):
    """The records that this thread is building now: one that refers to itself meets itself here."""

    def __init__(self) -> None:
        self.records: dict[tuple[type, tuple[Any, ...], str], _LazyRecord] = {}


_in_progress: Final = _InProgress()


class _LazyRecord:
    """Builds the functions of a class when its annotations can be resolved, at the latest at first use.

    A record may refer to itself or to classes that are defined after it.
    """

    def __init__(self, cls: type, arguments: tuple[Any, ...], fields: list[_Field], fmt: str) -> None:
        self._cls = cls
        self._arguments = arguments
        self._fields = fields
        self._fmt = fmt
        self._built: Conversion | None = None

    def conversion(self) -> Conversion:
        """Return the functions themselves, or stand-ins that build them when called."""
        if outer := _in_progress.records.get((self._cls, self._arguments, self._fmt)):
            return outer.stand_in()
        try:
            return self._build()
        except NameError:
            return self.stand_in()

    def stand_in(self) -> Conversion:
        """Return functions that look for the real ones at each call."""
        return Conversion(lambda value: self._resolved().plain(value), lambda plain: self._resolved().value(plain))

    def _resolved(self) -> Conversion:
        if self._built is not None:
            return self._built
        try:
            return self._build()
        except NameError as error:
            raise TableDeclaration(
                f"an annotation of {self._cls.__name__} cannot be resolved: {error}",
                got=self._cls,
                expected="annotations whose names exist in the module at run time",
                next_step="import them outside of TYPE_CHECKING, or give the table marshal= and unmarshal=",
            ) from error

    def _build(self) -> Conversion:
        key = (self._cls, self._arguments, self._fmt)
        _in_progress.records[key] = self
        try:
            hints = field_types(self._cls, self._arguments)
            conversions = {
                field.name: self._field_conversion(field, hints.get(field.name, field.annotation))
                for field in self._fields
            }
        finally:
            del _in_progress.records[key]
        direct = _is_filled_directly(self._cls, self._fields)
        how = filling(self._cls, [field.name for field in self._fields]) if direct else None
        self._built = Conversion(
            _writer(self._cls, self._fields, conversions),
            _reader(self._cls, self._fields, conversions, how),
            how if all(conversion.from_plain is None for conversion in conversions.values()) else None,
        )
        return self._built

    def _field_conversion(self, field: _Field, annotation: Any) -> Conversion:
        try:
            return conversion_of(annotation, self._fmt)
        except TableDeclaration as error:
            error.at(f"field {field.name} of {self._cls.__name__}")
            raise


def _keeps_fields_in_dict(cls: type, fields: list[_Field]) -> bool:
    """Tell whether every field is simply an entry of the instance's ``__dict__``."""
    if not dataclasses.is_dataclass(cls) or not hasattr(cls, "__dict__") or not cls.__dictoffset__:
        return False
    return not any(hasattr(inspect.getattr_static(cls, field.name, None), "__set__") for field in fields)


def _writer(cls: type, fields: list[_Field], conversions: dict[str, Conversion]) -> Callable[[Any], dict[str, Any]]:
    names = frozenset(field.name for field in fields)
    in_order = [field.name for field in fields]
    converters = [(name, c.to_plain) for name, c in conversions.items() if c.to_plain is not None]
    in_dict = _keeps_fields_in_dict(cls, fields)

    def collect(value: Any) -> dict[str, Any]:
        if type(value) is not cls:
            raise WrongType(f"a {type(value).__name__} stands here", got=value, expected=f"exactly a {cls.__name__}")
        try:
            return {field.name: getattr(value, field.name) for field in fields}
        except AttributeError as error:
            what = f"a field of the {cls.__name__} is not set: {error}"
            raise WrongValue(what, got=cls, expected="all fields") from error

    def to_plain(value: Any) -> dict[str, Any]:
        plain = collect(value)
        for name, convert in converters:
            try:
                plain[name] = convert(plain[name])
            except EncodeError as error:
                error.at(f"field {name}")
                raise
        return plain

    def own_dict(value: Any) -> dict[str, Any]:
        if type(value) is cls:
            plain: dict[str, Any] = value.__dict__
            if [*plain] == in_order or plain.keys() == names:  # the first is true nearly always, and quicker
                return plain  # the encoder only reads it
        return collect(value)

    return own_dict if in_dict and not converters else to_plain


def _reader(
    cls: type, fields: list[_Field], conversions: dict[str, Conversion], how: Filling | None
) -> Callable[[Any], Any]:
    converters = [(name, c.from_plain) for name, c in conversions.items() if c.from_plain is not None]
    make = _calling_maker(cls, fields) if how is None else _direct_maker(how, fields)
    if not converters:
        return make

    def from_plain(plain: Any) -> Any:
        plain = dict(_checked_map(cls, plain))
        for name, convert in converters:
            if name in plain:
                try:
                    plain[name] = convert(plain[name])
                except DecodeError as error:
                    error.at(f"field {name}")
                    raise
        return make(plain)

    return from_plain


def _is_filled_directly(cls: type, fields: list[_Field]) -> bool:
    """Tell whether filling ``__dict__`` does all that the constructor would do."""
    if not _keeps_fields_in_dict(cls, fields) or hasattr(cls, "__post_init__"):
        return False
    if inspect.getattr_static(cls, "__new__") is not inspect.getattr_static(object, "__new__"):
        return False
    constructor = getattr(inspect.getattr_static(cls, "__init__"), "__code__", None)
    return constructor is not None and constructor.co_filename == "<string>"  # generated, not of the user's own


def _checked_map(cls: type, plain: Any) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise DecodeError(f"the stored value is no {cls.__name__}", got=plain, expected="a map of fields")
    return plain


def _check_fields(cls: type, fields: list[_Field], plain: dict[str, Any]) -> None:
    known = {field.name for field in fields}
    if unknown := plain.keys() - known:
        raise DecodeError(
            f"the stored record has fields that {cls.__name__} has not: {', '.join(sorted(map(repr, unknown)))}",
            got=plain,
            expected=f"fields out of {', '.join(sorted(known))}",
            next_step="add the fields to the class, or migrate the table",
        )
    if missing := [field.name for field in fields if field.required and field.name not in plain]:
        raise DecodeError(
            f"the stored record lacks {', '.join(missing)}, and {cls.__name__} has no default for it",
            got=plain,
            expected=f"the fields {', '.join(sorted(known))}",
            next_step="give the new field a default",
        )


def _direct_maker(how: Filling, fields: list[_Field]) -> Callable[[Any], Any]:
    new, cls, size, has_all, set_dict = object.__new__, how.cls, how.size, how.has_all, how.set_dict
    defaults = [(field.name, field.default) for field in fields if field.default is not None]

    def make(plain: Any) -> Any:
        try:
            if type(plain) is not dict or len(plain) != size:
                raise KeyError
            has_all(plain)
        except KeyError:
            _check_fields(cls, fields, _checked_map(cls, plain))
            plain = {**{name: default() for name, default in defaults if name not in plain}, **plain}
        value: Any = new(cls)
        set_dict(value, plain)  # not a copy: the decoder made it for this record alone
        return value

    return make


def _calling_maker(cls: type, fields: list[_Field]) -> Callable[[Any], Any]:
    arguments = {field.name: field.argument for field in fields if field.argument is not None}
    others = [field.name for field in fields if field.argument is None]

    def make(plain: Any) -> Any:
        _check_fields(cls, fields, _checked_map(cls, plain))
        value = cls(**{argument: plain[name] for name, argument in arguments.items() if name in plain})
        for name in others:
            if name in plain:
                object.__setattr__(value, name, plain[name])
        return value

    return make
