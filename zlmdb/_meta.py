# SPDX-License-Identifier: MIT
"""A constant that existing programs may import; no file holds it (FORMAT.md section 5.9)."""

from typing import Final

MAGIC: Final = b"ZLMDB-S1"
