# SPDX-License-Identifier: MIT
"""Vectors in a FlatBuffer as sequences that read an element when it is asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, TypeAlias, overload

from zlmdb.codecs.flatkinds import read_text, read_texts
from zlmdb.codecs.optional import require
from zlmdb.errors import DecodeError

Buffer: TypeAlias = Any
"""Bytes, or a read-only memoryview of bytes: the functions that read from both are typed for bytes only."""

u32: Final = struct.Struct("<I").unpack_from

damaged: Final = (struct.error, UnicodeDecodeError, DecodeError)
"""What reading raises when a buffer is malformed."""


def reraise(error: Exception, where: str, data: Buffer) -> NoReturn:
    """Raise what reading raised as a `DecodeError`. The bytes are not shown: they may hold secrets."""
    if isinstance(error, DecodeError):
        raise error.at(where)
    what = "a string is not UTF-8" if isinstance(error, UnicodeDecodeError) else "an offset points out of the buffer"
    raise DecodeError(what, where=where, got=f"{len(data)} bytes", expected="a FlatBuffer of this schema") from error


class FlatVector(Sequence[Any]):
    """A vector of a record; it is read-only, compares by content with any sequence, and decodes lazily.

    It is valid as long as the buffer of its record is. Raises `DecodeError` where the buffer is malformed.
    """

    __slots__ = ("_at", "_count", "_data", "_where", "_width")
    __hash__ = None  # type: ignore[assignment]  # it equals lists, which have none either

    def __init__(self, data: Buffer, at: int, width: int, where: str) -> None:
        self._count: int = u32(data, at)[0]
        self._data = data
        self._at = at + 4
        self._width = width
        self._where = where
        if at + 4 + self._count * width > len(data):
            raise DecodeError(
                "a vector ends behind the buffer",
                got=f"{self._count} elements from byte {at}",
                expected=f"an end within {len(data)} bytes",
            )

    @property
    def nbytes(self) -> int:
        """Bytes of the vector itself, without what it points to."""
        return self._count * self._width

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._read(at) for at in range(*index.indices(self._count))]
        at = index + self._count if index < 0 else index
        if not 0 <= at < self._count:
            raise IndexError("vector index out of range")
        return self._read(at)

    def __iter__(self) -> Iterator[Any]:
        return map(self._read, range(self._count))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"<{self._where}: a vector of {self._count}>"

    def _read(self, index: int) -> Any:
        try:
            return self._element(index)
        except damaged as error:
            reraise(error, f"{self._where}[{index}]", self._data)

    def _element(self, index: int) -> Any:
        raise NotImplementedError


class InlineVector(FlatVector):
    """A vector of scalars, enums or structs, which stand one behind the other."""

    __slots__ = ("_make", "_struct", "dtype")

    def __init__(
        self, data: Buffer, at: int, code: struct.Struct, make: Callable[..., Any] | None, dtype: Any, where: str
    ) -> None:
        super().__init__(data, at, code.size, where)
        self._struct = code
        self._make = make
        self.dtype = dtype

    def _element(self, index: int) -> Any:
        values = self._struct.unpack_from(self._data, self._at + index * self._width)
        return self._make(*values) if self._make else values[0]

    def __iter__(self) -> Iterator[Any]:
        rows = self._struct.iter_unpack(self._raw())
        make = self._make
        return (make(*row) for row in rows) if make else (value for (value,) in rows)

    def __bytes__(self) -> bytes:
        """Return the elements as they are stored."""
        return bytes(self._raw())

    @property
    def is_bytes(self) -> bool:
        """Whether the elements are plain unsigned bytes."""
        return self._make is None and self.dtype == "<B"

    def as_numpy(self) -> Any:
        """Return a read-only array on the record's own buffer, without copying (of a structured type for structs).

        It needs the extra ``numpy`` and raises `MissingDependency` without it. In a transaction with
        ``buffers=True`` the array is valid only inside the transaction.
        """
        array = require("numpy", extra="numpy").frombuffer(
            self._data, dtype=self.dtype, count=self._count, offset=self._at if self._count else 0
        )
        array.flags.writeable = False
        return array

    def _raw(self) -> Buffer:
        return self._data[self._at : self._at + self.nbytes]


class StringVector(FlatVector):
    """A vector of strings."""

    __slots__ = ()

    def _element(self, index: int) -> str:
        at = self._at + 4 * index
        return read_text(self._data, at + u32(self._data, at)[0])

    def __iter__(self) -> Iterator[str]:
        try:  # all at once, which can tell strings stored once from strings that overlap
            return iter(read_texts(self._data, self._at - 4))
        except damaged as error:
            reraise(error, self._where, self._data)


class TableVector(FlatVector):
    """A vector of tables."""

    __slots__ = ("_open",)

    def __init__(self, data: Buffer, at: int, open_table: Callable[[Buffer, int], Any], where: str) -> None:
        super().__init__(data, at, 4, where)
        self._open = open_table

    def _element(self, index: int) -> Any:
        at = self._at + 4 * index
        return self._open(self._data, at + u32(self._data, at)[0])
