# SPDX-License-Identifier: MIT
"""Typed, indexed, transactional maps over LMDB.

``MapUuidCbor``, ``MapTimestampUuidFlatBuffers`` and any other ``Map<Key …><Value>`` made of known kinds is a
name of this package: the name is the type.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from zlmdb import codecs, errors
from zlmdb.codecs import PUBLISHED_MAPS
from zlmdb.errors import NullValueConstraint, ZlmdbError
from zlmdb.orm import (
    TABLES_BY_UUID,
    BoundMap,
    Database,
    LiveSet,
    Map,
    Page,
    PersistentMap,
    Schema,
    SetMap,
    map_type,
    table,
)
from zlmdb.orm.table import register_in
from zlmdb.storage import Reader, RunningTransaction, TableCounts, Transaction, TransactionStats

if TYPE_CHECKING:
    from zlmdb import flatbuffers, lmdb
    from zlmdb.compat import check_autobahn_flatbuffers_version_in_sync, setup_flatbuffers_import
    from zlmdb.storage.copying import convert

__version__ = "27.0.0"

__all__ = [
    "TABLES_BY_UUID",
    "BoundMap",
    "Database",
    "LiveSet",
    "Map",
    "NullValueConstraint",
    "Page",
    "PersistentMap",
    "Reader",
    "RunningTransaction",
    "Schema",
    "SetMap",
    "TableCounts",
    "Transaction",
    "TransactionStats",
    "ZlmdbError",
    "__version__",
    "check_autobahn_flatbuffers_version_in_sync",
    "codecs",
    "convert",
    "errors",
    "flatbuffers",
    "lmdb",
    "setup_flatbuffers_import",
    "table",
]
__all__ += list(PUBLISHED_MAPS)  # pyright: ignore[reportUnsupportedDunderAll]  checkers read the stub

# seldom needed, so not loaded with the rest
_LATER: Final = {
    "check_autobahn_flatbuffers_version_in_sync": "zlmdb.compat",
    "convert": "zlmdb.storage.copying",
    "setup_flatbuffers_import": "zlmdb.compat",
}
_MODULES: Final = frozenset(
    "flatbuffers lmdb _database _errors _flatbuffers_vendor _pmap _schema _transaction _types".split()
)

register_in(lambda: TABLES_BY_UUID)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name in _MODULES:
        return import_module(f"zlmdb.{name}")
    found = map_type(name) if name.startswith("Map") else None
    if found is None:
        raise AttributeError(f"module 'zlmdb' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
