# SPDX-License-Identifier: MIT
"""The asyncio face: the same object model as the synchronous one, with futures."""

from zlmdb.aio._database import AsyncDatabase, open_database
from zlmdb.aio._environment import Batch, Database, Environment, open  # noqa: A004 - the field's name
from zlmdb.aio._map import AsyncMap
from zlmdb.codecs.coders import (
    Coder,
    IdentityCoder,
    JSONCoder,
    PickleCoder,
    StringCoder,
    UInt16Coder,
    UInt32Coder,
    UInt64Coder,
)
from zlmdb.workers.coded import BoundDatabase, EnvironmentTransaction

__all__ = [
    "AsyncDatabase",
    "AsyncMap",
    "Batch",
    "BoundDatabase",
    "Coder",
    "Database",
    "Environment",
    "EnvironmentTransaction",
    "IdentityCoder",
    "JSONCoder",
    "PickleCoder",
    "StringCoder",
    "UInt16Coder",
    "UInt32Coder",
    "UInt64Coder",
    "open",
    "open_database",
]
