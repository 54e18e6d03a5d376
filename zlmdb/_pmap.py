# SPDX-License-Identifier: MIT
"""The module under which existing programs import map types; new ones import them from ``zlmdb``."""

from typing import Any

import zlmdb
from zlmdb.orm import Index, PersistentMap
from zlmdb.storage import Transaction

__all__ = ["Index", "PersistentMap", "Transaction"]


def __getattr__(name: str) -> Any:
    if name.startswith("Map"):
        return getattr(zlmdb, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
