# SPDX-License-Identifier: MIT
"""The Twisted face: the same object model as the synchronous one, with Deferreds."""

from zlmdb.twisted._database import AsyncDatabase, open_database
from zlmdb.twisted._map import AsyncMap

__all__ = ["AsyncDatabase", "AsyncMap", "open_database"]
