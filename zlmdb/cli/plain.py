# SPDX-License-Identifier: MIT
"""Keys and values as JSON, for people and other programs to read; `zlmdb dump --raw` is what can be loaded again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time
from typing import Any


def to_json(value: object) -> str:
    """Return ``value`` on one line of JSON.

    Bytes become ``{"hex": "…"}``, times ISO 8601 (those of the codecs in UTC, to the nanosecond), sets sorted
    lists, arrays lists; UUIDs, infinite numbers, NaN, NaT and whatever else has no JSON become text. Raises
    `RecursionError` for values nested too deeply and `ValueError` for numbers of thousands of digits.
    """
    return json.dumps(plain(value))


def plain(value: Any) -> Any:
    """Return ``value`` built of what JSON has."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"hex": bytes(value).hex()}
    if isinstance(value, Mapping):
        return {_name(key): plain(each) for key, each in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(map(plain, value), key=str)
    if isinstance(value, date | time):
        return value.isoformat()
    if hasattr(value, "dtype"):
        return _of_numpy(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value)


def _name(key: Any) -> str:
    if isinstance(key, str):
        return key
    made = plain(key)
    return made if isinstance(made, str) else json.dumps(made)


def _of_numpy(value: Any) -> Any:
    is_time = value.dtype.kind in "mM"  # of which tolist() alone makes integers, or cuts nanoseconds
    return plain((value.astype(str) if is_time else value).tolist())
