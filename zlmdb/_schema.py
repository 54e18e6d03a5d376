# SPDX-License-Identifier: MIT
"""The module under which existing programs import `Schema`; new ones import it from ``zlmdb``."""

from zlmdb.orm import PersistentMap, Schema

__all__ = ["PersistentMap", "Schema"]
