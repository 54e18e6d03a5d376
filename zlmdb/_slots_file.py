# SPDX-License-Identifier: MIT
"""Maps with fixed slots, declared in a yaml file (FORMAT.md section 5.8); nothing of it enters the catalogue."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from pprint import pformat
from typing import Any, Final, NoReturn

from zlmdb import MapStringCbor, MapStringJson, MapUuidCbor, MapUuidJson
from zlmdb.codecs.optional import require
from zlmdb.errors import ConfigError, SchemaError
from zlmdb.orm import Map

Factory = tuple[Callable[..., Map[Any, Any]], Callable[[Any], Any], Callable[[Any], Any]]
"""A map class, ``marshal`` and ``unmarshal``."""


def _same(value: Any) -> Any:
    return value


KV_TYPE_TO_CLASS: Final[dict[str, Factory]] = {
    "string-json": (MapStringJson, _same, _same),
    "string-cbor": (MapStringCbor, _same, _same),
    "uuid-json": (MapUuidJson, _same, _same),
    "uuid-cbor": (MapUuidCbor, _same, _same),
}
"""The map class and the functions for each ``key-value`` of a slot, or ``key-value-schema``."""


class UnknownSlot(SchemaError, IndexError, KeyError):
    """The yaml file declares no slot of this name."""

    __str__ = SchemaError.__str__


class Schema(Mapping[str, Map[Any, Any]]):
    """The maps that a yaml file declares, by name; read-only."""

    def __init__(self, meta: Any, slots: dict[int, Map[Any, Any]], slots_byname: dict[str, Map[Any, Any]]) -> None:
        self._meta = meta
        self._slots = slots
        self._slots_byname = slots_byname

    @staticmethod
    def parse(filename: str | os.PathLike[str], klassmap: Mapping[str, Factory] = KV_TYPE_TO_CLASS) -> Schema:
        """Read a yaml file with a list ``slots`` of index, name, key, value and, optionally, schema and description.

        Raises `ConfigError` naming what is wrong where, and `MissingDependency` without the extra ``yaml``.
        """
        yaml = require("yaml", extra="yaml")
        try:
            meta = yaml.safe_load(Path(filename).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as exc:
            raise ConfigError(f"not a yaml file: {exc}", where=str(filename)) from exc
        items = meta.get("slots") if isinstance(meta, dict) else None
        if not isinstance(items, list):
            _refuse(str(filename), "no list of slots", items, "a list under the key slots")
        schema = Schema(meta, {}, {})
        for number, item in enumerate(items):
            schema._add(f"{filename}, slots[{number}]", item, klassmap)
        return schema

    def _add(self, where: str, item: Any, klassmap: Mapping[str, Factory]) -> None:
        _check(where, item)
        index, name = item["index"], item["name"]
        if index in self._slots or name in self._slots_byname:
            _refuse(where, "declared twice", (index, name), "an index and a name of its own")
        kinds = "-".join(filter(None, (item["key"], item["value"], item.get("schema"))))
        if kinds not in klassmap:
            _refuse(where, "no map for these kinds", kinds, f"one of {', '.join(sorted(klassmap))}")
        klass, marshal, unmarshal = klassmap[kinds]
        self._slots[index] = self._slots_byname[name] = klass(index, marshal=marshal, unmarshal=unmarshal)

    def __getitem__(self, name: str) -> Map[Any, Any]:
        try:
            return self._slots_byname[name]
        except KeyError:
            raise UnknownSlot(
                "no slot of this name", where="Schema", got=name, expected=f"one of {', '.join(self._slots_byname)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots_byname)

    def __len__(self) -> int:
        return len(self._slots)

    def __str__(self) -> str:
        return pformat(self._meta["slots"])

    def __setitem__(self, name: str, value: object) -> NoReturn:
        raise NotImplementedError("the schema is read-only")

    def __delitem__(self, name: str) -> NoReturn:
        raise NotImplementedError("the schema is read-only")


def _check(where: str, item: Any) -> None:
    if not isinstance(item, dict):
        _refuse(where, "not a slot", item, "a mapping")
    index = item.get("index")
    if type(index) is not int or not 100 <= index <= 65535:
        _refuse(where, "not an index", index, "an int from 100 to 65535")
    texts = {"name": True, "key": True, "value": True, "schema": False, "description": False}
    for name, is_required in texts.items():
        if not isinstance(item.get(name), str) and (is_required or item.get(name) is not None):
            _refuse(f"{where}.{name}", "not a text", item.get(name), "a str")
    if unknown := set(item) - {"index", *texts}:
        _refuse(where, "unknown keys", sorted(map(str, unknown)), f"index, {', '.join(texts)}")


def _refuse(where: str, what: str, got: object, expected: str) -> NoReturn:
    raise ConfigError(what, where=where, got=got, expected=expected)
