# SPDX-License-Identifier: MIT
"""The schema that the tests of schema files share, and one record with a value in each field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zlmdb.codecs.flatbuffers import load_fbs

DATA = Path(__file__).parent / "data"
SHOP = load_fbs(DATA / "shop.fbs")
Order, Line, Card, Cash = SHOP.Order, SHOP.Line, SHOP.Card, SHOP.Cash
FULL: dict[str, Any] = {
    "id": 7,
    "customer": "joe",
    "lines": [{"article": "a", "parts": [{"article": "b", "count": 0, "parts": []}]}, {"article": "ä", "count": -1}],
    "color": SHOP.Color.Blue,
    "options": SHOP.Options.Insured,
    "box": ((1.0, 2.0), 2**64 - 1, (1, 2, 3), 33),
    "points": [(1.0, 2.0), (3.0, 4.0)],
    "prices": [1.5, -2.0],
    "raw": b"\x00\xff",
    "colors": [SHOP.Color.Red, 7],
    "names": ["", "x", "y"],
    "payment": Cash(amount=1.25),
    "maybe": 0,
    "express": False,
    "ratio": 0.5,
    "small": -128,
    "first": {"article": "c"},
}
