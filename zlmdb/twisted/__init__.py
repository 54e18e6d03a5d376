# SPDX-License-Identifier: MIT
"""The Twisted face: the same object model as the synchronous one, with Deferreds."""

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
from zlmdb.twisted._database import AsyncDatabase, open_database
from zlmdb.twisted._environment import Batch, Database, Environment, open  # noqa: A004 - the field's name
from zlmdb.twisted._map import AsyncMap
from zlmdb.twisted._producer import RangeProducer
from zlmdb.twisted._service import DatabaseService
from zlmdb.workers.coded import BoundDatabase, EnvironmentTransaction

__all__ = [
    "AsyncDatabase",
    "AsyncMap",
    "Batch",
    "BoundDatabase",
    "Coder",
    "Database",
    "DatabaseService",
    "Environment",
    "EnvironmentTransaction",
    "IdentityCoder",
    "JSONCoder",
    "PickleCoder",
    "RangeProducer",
    "StringCoder",
    "UInt16Coder",
    "UInt32Coder",
    "UInt64Coder",
    "open",
    "open_database",
]
