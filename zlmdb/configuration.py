# SPDX-License-Identifier: MIT
"""Checking a configuration against a dataclass, completely, before anything runs.

The walk over dataclasses, lists and mappings is ours, because it carries the paths, the spelling of keys and
the near names; each single value is checked by pydantic (extra ``plugins``, imported at the first check) in
strict mode, where nothing is coerced.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, Union

from zlmdb.errors import ConfigError, MissingDependency, PluginError, shorten, text_of

if TYPE_CHECKING:
    import pydantic

ConfigT = TypeVar("ConfigT")

_NOTHING: Final = object()
_SEQUENCES: Final = (list, tuple, collections.abc.Sequence)
_MAPPINGS: Final = (dict, collections.abc.Mapping)
_BOUNDS: Final = {
    "ge": ">= {}",
    "gt": "> {}",
    "le": "<= {}",
    "lt": "< {}",
    "multiple_of": "a multiple of {}",
    "min_length": "of length >= {}",
    "max_length": "of length <= {}",
    "pattern": "matching {}",
}


def check(
    config: type[ConfigT], raw: object, path: str = "store", *, host_keys: tuple[str, ...] = ("type",)
) -> ConfigT:
    """Return ``raw``, a mapping as read from JSON or YAML, as an instance of the dataclass ``config``.

    Keys may be spelt with dashes or underscores. The ``host_keys`` belong to the host and are passed over.
    Values keep their type: "5" is no int, 1 is no bool, true is no int; an int will do for a float, and NaN and
    infinity only if the field says ``pydantic.Field(allow_inf_nan=True)``. Fields may
    be dataclasses, lists and mappings of them, and what pydantic knows; bounds are given as
    ``Annotated[int, pydantic.Field(ge=0)]`` or with ``annotated_types``, choices as ``Literal``.
    Reads nothing but its arguments; call it from any thread.

    Raises:
        ConfigError: ``problems`` has a line for every fault, which begins with its path.
        PluginError: the dataclass itself cannot be used to check anything.
        MissingDependency: pydantic is not installed.
    """
    if isinstance(raw, Mapping):
        raw = {key: value for key, value in raw.items() if key not in host_keys}
    walk = _Walk(_pydantic(), host_keys)
    checked = walk.record(config, raw, path)
    if walk.problems:
        raise ConfigError("; ".join(walk.problems), problems=tuple(walk.problems))
    return typing.cast("ConfigT", checked)


@dataclasses.dataclass(frozen=True)
class Option:
    """A key of a configuration: its path, what it takes in words, and the default as JSON where it has one."""

    path: str
    expected: str
    required: bool
    default: str | None


def describe(config: type[Any], path: str = "") -> list[Option]:
    """List the keys of a configuration dataclass in their order, those of dataclasses within it behind their own.

    The items of a list are at ``path[]``, those of a mapping at ``path.*``. Raises `PluginError` for annotations
    that cannot be resolved. Needs no pydantic.
    """
    options: list[Option] = []
    hints = _hints(config)
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        at = f"{path}.{field.name}".lstrip(".").replace("_", "-")
        options.append(_option(field, hints[field.name], at))
        inner, suffix = _dataclass_in(hints[field.name])
        if inner is not None and inner is not config:
            options += describe(inner, at + suffix)
    return options


def _option(field: dataclasses.Field[Any], hint: Any, path: str) -> Option:
    missing = dataclasses.MISSING
    if field.default is not missing:
        return Option(path, _expected(hint), False, _shown(field.default))
    if field.default_factory is not missing:
        return Option(path, _expected(hint), False, _shown(field.default_factory()))
    return Option(path, _expected(hint), True, None)


def _dataclass_in(hint: Any) -> tuple[type[Any] | None, str]:
    """Return the dataclass that a field holds, or its list or mapping does, and what its path gets behind it."""
    plain, _ = _unwrapped(_required(hint))
    origin, arguments = typing.get_origin(plain), typing.get_args(plain)
    suffix = "[]" if origin in _SEQUENCES else ".*" if origin in _MAPPINGS else ""
    inner = arguments[{"[]": 0, ".*": 1}[suffix]] if suffix else plain
    return (inner, suffix) if isinstance(inner, type) and dataclasses.is_dataclass(inner) else (None, "")


def _pydantic() -> types.ModuleType:
    try:
        import pydantic
    except ImportError as exc:
        raise MissingDependency(
            "pydantic is needed to check configurations", next_step="pip install zlmdb[plugins]", extra="plugins"
        ) from exc
    return pydantic


class _Walk:
    """One check: collects the problems and goes on; what it returns counts only if there are none."""

    def __init__(self, library: types.ModuleType, host_keys: tuple[str, ...]) -> None:
        self.problems: list[str] = []
        self._pydantic = library
        self._host_keys = host_keys  # of the outermost mapping

    def record(self, cls: type[Any], raw: object, path: str) -> object:
        if not isinstance(raw, Mapping):
            self._report(path, "a mapping", raw)
            return None
        before = len(self.problems)
        fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
        spelt = self._spellings(fields, raw, path)
        hints = _hints(cls)
        values = {}
        for name, field in fields.items():
            if name in spelt:
                values[name] = self.value(hints[name], raw[spelt[name]], _at(path, spelt[name]))
            elif field.default is field.default_factory is dataclasses.MISSING:
                key = name.replace("_", "-")
                self.problems.append(f"{_at(path, key)}: missing, expected {_expected(hints[name])}")
        return self._built(cls, values, path) if len(self.problems) == before else None

    def _spellings(self, fields: Mapping[str, object], raw: Mapping[object, object], path: str) -> dict[str, str]:
        """Return the key that was used for each field, and report those that mean none, or one that is taken."""
        spelt: dict[str, str] = {}
        known = [*fields, *self._host_keys]
        self._host_keys = ()
        for key in raw:
            name = key.replace("-", "_") if isinstance(key, str) else ""
            if not isinstance(key, str) or name not in fields:
                self.problems.append(f"{_at(path, key)}: unknown key{_near(name, known)}")
            elif name in spelt:
                self.problems.append(f"{_at(path, key)}: given twice, the other time as {_shown(spelt[name])}")
            else:
                spelt[name] = key
        return spelt

    def _built(self, cls: type[Any], values: dict[str, object], path: str) -> object:
        try:
            return cls(**values)
        except (TypeError, ValueError) as exc:  # what __post_init__ finds wrong with the whole
            faults = (exc.problems if isinstance(exc, ConfigError) else ()) or (text_of(exc),)
            self.problems += [f"{path}: {fault}" for fault in faults]
            return None

    def value(self, hint: Any, raw: object, path: str) -> object:
        """Check one value against a type; lists, mappings and dataclasses are entered."""
        plain, bounds = _unwrapped(hint if raw is None else _required(hint))
        origin, arguments = typing.get_origin(plain), typing.get_args(plain)
        if isinstance(plain, type) and dataclasses.is_dataclass(plain):
            return self.record(plain, raw, path)
        if origin in _SEQUENCES and (origin is not tuple or arguments[1:] == (...,)):
            fits, enter = isinstance(raw, (list, tuple)), self._sequence
        elif origin in _MAPPINGS and arguments[0] is str:
            fits, enter = isinstance(raw, Mapping), self._mapping
        else:
            return self._leaf(hint, raw, path)
        if not fits:
            self._report(path, _expected(hint), raw)
            return None
        before = len(self.problems)
        entered = enter(plain, raw, path)
        if bounds and len(self.problems) == before:
            return self._bounded(hint, bounds, raw, entered, path)
        return entered

    def _sequence(self, hint: Any, raw: Any, path: str) -> object:
        item = typing.get_args(hint)[0]
        values = [self.value(item, each, f"{path}[{number}]") for number, each in enumerate(raw)]
        return tuple(values) if typing.get_origin(hint) is tuple else values

    def _mapping(self, hint: Any, raw: Any, path: str) -> object:
        item = typing.get_args(hint)[1]
        self.problems += [f"{_at(path, key)}: expected a string as key" for key in raw if not isinstance(key, str)]
        return {key: self.value(item, each, _at(path, key)) for key, each in raw.items()}

    def _bounded(self, hint: Any, bounds: tuple[Any, ...], raw: object, entered: object, path: str) -> object:
        """Check the bounds of a list or mapping whose items are checked already."""
        try:
            return self._adapter(Annotated[(Any, *bounds)], path).validate_python(entered, strict=True)
        except self._pydantic.ValidationError as exc:
            self._report(path, _expected(hint), raw, _opinions(exc))
            return None

    def _leaf(self, hint: Any, raw: object, path: str) -> object:
        """Check by pydantic: the value itself, or else what it stands for in JSON (a path, a UUID as str)."""
        adapter = self._adapter(hint, path)
        try:
            return adapter.validate_python(raw, strict=True)
        except self._pydantic.ValidationError as exc:
            error = exc
        text = _json(raw)
        if text is not None:
            try:
                return adapter.validate_json(text, strict=True)
            except self._pydantic.ValidationError as exc:
                error = exc
        self._report(path, _expected(hint), raw, _opinions(error))
        return None

    def _adapter(self, hint: Any, path: str) -> pydantic.TypeAdapter[Any]:
        try:
            try:
                adapter = self._pydantic.TypeAdapter(hint, config={"allow_inf_nan": False})
            except self._pydantic.errors.PydanticUserError as exc:
                if exc.code != "type-adapter-config-unused":
                    raise
                adapter = self._pydantic.TypeAdapter(hint)  # a model of pydantic's has its own configuration
            return typing.cast("pydantic.TypeAdapter[Any]", adapter)
        except (self._pydantic.errors.PydanticUserError, TypeError) as exc:
            raise PluginError(
                "the type of this field cannot be checked",
                where=path,
                got=hint,
                expected="a type that pydantic knows",
                plugin=path,
                step="configure",
            ) from exc

    def _report(self, path: str, expected: str, raw: object, opinions: str = "") -> None:
        self.problems.append(f"{path}: {opinions or f'expected {expected}'}, got {_shown(raw)}")


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError) as exc:
        raise PluginError(
            f"the annotations of {cls.__qualname__} cannot be resolved: {text_of(exc)}",
            plugin=cls.__qualname__,
            step="configure",
        ) from exc


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without its ``Annotated``, and what that said."""
    if typing.get_origin(hint) is not Annotated:
        return hint, ()
    plain, *bounds = typing.get_args(hint)
    return plain, tuple(bounds)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else ()


def _required(hint: Any) -> Any:
    """Return X of ``X | None`` with the bounds of both, and any other type as it is."""
    plain, bounds = _unwrapped(hint)
    others = [each for each in _alternatives(plain) if each is not type(None)]
    if len(others) != 1:
        return hint
    return Annotated[(others[0], *bounds)] if bounds else others[0]


def _expected(hint: Any) -> str:
    """Say in the words of a configuration file what a type takes."""
    if (required := _required(hint)) is not hint:
        return f"{_expected(required)} or null"
    plain, bounds = _unwrapped(hint)
    origin, arguments = typing.get_origin(plain), typing.get_args(plain)
    if origin is Literal:
        text = _either([_shown(choice) for choice in arguments])
    elif _alternatives(plain):
        text = _either([_expected(each) for each in arguments])
    elif origin in _SEQUENCES:
        item = _expected(arguments[0])
        text = "a list of mappings" if item == "a mapping" else f"a list of {item}"
    elif (origin or plain) in _MAPPINGS or dataclasses.is_dataclass(plain):
        text = "a mapping"
    else:
        text = "null" if plain is type(None) else getattr(plain, "__name__", str(plain))
    told = " and ".join(_bounds(bounds))
    return f"{text} {told}" if told else text


def _bounds(bounds: tuple[Any, ...]) -> list[str]:
    """Put bounds into words; pydantic's Field holds a list of those that ``annotated_types`` defines."""
    told = []
    for bound in bounds:
        told += _bounds(tuple(getattr(bound, "metadata", ())))
        told += [
            text.format(limit)
            for name, text in _BOUNDS.items()
            if (limit := getattr(bound, name, None)) is not None and (name, limit) != ("min_length", 0)
        ]
    return told


def _opinions(error: pydantic.ValidationError) -> str:
    """Return what a validator of the plugin's own said; of pydantic's own findings the type tells most as well."""
    errors = error.errors(include_url=False)
    if any(each["type"] == "finite_number" for each in errors):
        return "expected a finite number"
    if any(each["type"] == "string_unicode" for each in errors):
        return "expected a string without lone surrogates"
    found = [each.get("ctx", {}).get("error") for each in errors]
    return "; ".join(text_of(each) for each in found if isinstance(each, Exception))


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _near(name: str, fields: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, fields, n=1)
    if near:
        return f", did you mean '{near[0].replace('_', '-')}'?"
    return f", expected {_either([key.replace('_', '-') for key in fields]) or 'no keys'}" if fields else ""


def _at(path: str, key: object) -> str:
    plain = isinstance(key, str) and key.isprintable() and key != ""
    return f"{path}.{key}" if plain else f"{path}[{shorten(key)}]"


def _json(value: object) -> str | None:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None


def _shown(value: object) -> str:
    """Show a value as it would be written in the file."""
    text = _json(value)
    return text if text is not None and len(text) <= 200 else shorten(value)
