# SPDX-License-Identifier: MIT
"""The user record as a FlatBuffers table, for the official library: what flatc generates, for the two fields read."""

from __future__ import annotations

from typing import Any, Final

import flatbuffers
from flatbuffers import encode, number_types, packer
from flatbuffers.table import Table

from benchmarks.data import User

SCHEMA: Final = """
    table FlatUser {
        name: string; email: string; city: string; about: string;
        age: ushort; balance: double; active: bool; created: ulong;
    }
"""


class Accessor:
    """Reads through the official library, in the steps of the methods that flatc gives to a class."""

    @classmethod
    def get_root_as(cls, buffer: Any, offset: int = 0) -> Accessor:
        start = encode.Get(packer.uoffset, buffer, offset)
        accessor = cls()
        accessor.init(buffer, start + offset)
        return accessor

    def init(self, buffer: Any, position: int) -> None:
        self._tab = Table(buffer, position)

    def name(self) -> bytes | None:
        offset = number_types.UOffsetTFlags.py_type(self._tab.Offset(4))
        return self._tab.String(offset + self._tab.Pos) if offset else None

    def created(self) -> int:
        offset = number_types.UOffsetTFlags.py_type(self._tab.Offset(18))
        return self._tab.Get(number_types.Uint64Flags, offset + self._tab.Pos) if offset else 0


def build(user: User, builder: Any) -> Any:
    """Write a user with the official builder; return the offset of its table."""
    texts = [builder.CreateString(text) for text in (user.name, user.email, user.city, user.about)]
    builder.StartObject(8)
    for slot, text in enumerate(texts):
        builder.PrependUOffsetTRelativeSlot(slot, text, 0)
    builder.PrependUint16Slot(4, user.age, 0)
    builder.PrependFloat64Slot(5, user.balance, 0.0)
    builder.PrependBoolSlot(6, user.active, False)
    builder.PrependUint64Slot(7, user.created, 0)
    return builder.EndObject()


def encoded(user: User) -> bytes:
    """Return a user as a finished buffer."""
    builder = flatbuffers.Builder(512)
    builder.Finish(build(user, builder))
    return bytes(builder.Output())
