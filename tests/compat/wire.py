# SPDX-License-Identifier: MIT
"""Python values as JSON and back, each with its type: what both programs are compared with is neither's own format."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import numpy as np

_PLAIN = (type(None), bool, int, float, str)
_UNPACKED = {
    "bytes": bytes.fromhex,
    "uuid": UUID,
    "time": lambda content: np.datetime64(*content),
    "list": lambda items: [unpacked(item) for item in items],
    "tuple": lambda items: tuple(unpacked(item) for item in items),
    "set": lambda items: {unpacked(item) for item in items},
    "dict": lambda items: {unpacked(key): unpacked(value) for key, value in items},
}


def packed(value: Any) -> Any:
    """Return ``value`` in JSON's types; all but the plainest as {type: content}."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, UUID):
        return {"uuid": value.hex}
    if isinstance(value, np.datetime64):  # NaT, too, is a count
        return {"time": [int(value.astype("int64")), np.datetime_data(value.dtype)[0]]}
    if isinstance(value, dict):
        return {"dict": [[packed(key), packed(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [packed(item) for item in value]}
    if isinstance(value, set):
        return {"set": sorted((packed(item) for item in value), key=json.dumps)}
    raise TypeError(f"no form for {type(value).__name__}: {value!r}")


def unpacked(value: Any) -> Any:
    """Return what was packed."""
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return _UNPACKED[kind](content)
    return value


def said(value: Any) -> str:
    """Return a text that is the same for the same value of the same type, and for no other."""
    return json.dumps(packed(value))
