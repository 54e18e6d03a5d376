# SPDX-License-Identifier: MIT
"""Between Python values and bytes: order-preserving key codecs, value codecs, compression, records.

Everything here may be called from any thread, and knows neither LMDB nor transactions. Libraries (NumPy,
cbor2, FlatBuffers …) are imported when the first codec that needs them is made or used.
"""

from __future__ import annotations

from .base import KeyCodec, Layout, ValueCodec
from .composite import compose
from .declared import declare_record
from .legacy import OldKeys, legacy_key_codec, old_keys
from .names import VALUE_NAMES, key_codec, split_name
from .packed import set_member
from .plain import as_read, encoded_size, is_plain, read_back
from .published import PUBLISHED_MAPS, UPGRADED
from .scalars import BYTES, BYTES16, BYTES20, BYTES32, OID, SLOT, STRING, UINT8, UINT16, UINT64, UUID
from .timestamps import TIMESTAMP
from .values import value_codec

__all__ = [
    "BYTES",
    "BYTES16",
    "BYTES20",
    "BYTES32",
    "OID",
    "PUBLISHED_MAPS",
    "SLOT",
    "STRING",
    "TIMESTAMP",
    "UINT8",
    "UINT16",
    "UINT64",
    "UPGRADED",
    "UUID",
    "VALUE_NAMES",
    "KeyCodec",
    "Layout",
    "OldKeys",
    "ValueCodec",
    "as_read",
    "compose",
    "declare_record",
    "encoded_size",
    "is_plain",
    "key_codec",
    "legacy_key_codec",
    "old_keys",
    "read_back",
    "set_member",
    "split_name",
    "value_codec",
]
