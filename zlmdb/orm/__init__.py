# SPDX-License-Identifier: MIT
"""Maps, indexes, the catalogue of slots, ``@table`` and `Schema`. Knows neither threads nor event loops."""

from zlmdb.orm.bound import BoundMap
from zlmdb.orm.database import Database
from zlmdb.orm.index import Index
from zlmdb.orm.map import Map, PersistentMap
from zlmdb.orm.named import map_type
from zlmdb.orm.paging import Page
from zlmdb.orm.plan import Plan, Record, put_plainly
from zlmdb.orm.schema import Schema
from zlmdb.orm.sets import LiveSet, SetMap
from zlmdb.orm.table import TABLES_BY_UUID, table

__all__ = [
    "TABLES_BY_UUID",
    "BoundMap",
    "Database",
    "Index",
    "LiveSet",
    "Map",
    "Page",
    "PersistentMap",
    "Plan",
    "Record",
    "Schema",
    "SetMap",
    "map_type",
    "put_plainly",
    "table",
]
