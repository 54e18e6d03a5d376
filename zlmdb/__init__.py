# SPDX-License-Identifier: MIT
"""Typed, indexed, transactional maps over LMDB.

``MapUuidCbor``, ``MapTimestampUuidFlatBuffers`` and any other ``Map<Key …><Value>`` made of known kinds is a
name of this package: the name is the type.
"""

from typing import TYPE_CHECKING, Any

from zlmdb import codecs, errors
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
from zlmdb.storage import Reader, RunningTransaction, TableCounts, Transaction, TransactionStats

if TYPE_CHECKING:
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
    "codecs",
    "convert",
    "errors",
    "table",
]


def __getattr__(name: str) -> Any:
    if name == "convert":  # seldom needed, so not loaded with the rest
        from zlmdb.storage.copying import convert

        return convert
    found = map_type(name) if name.startswith("Map") else None
    if found is None:
        raise AttributeError(f"module 'zlmdb' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    from zlmdb.codecs.published import PUBLISHED_MAPS

    return sorted({*globals(), *PUBLISHED_MAPS})
