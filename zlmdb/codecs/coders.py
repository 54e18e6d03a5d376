# SPDX-License-Identifier: MIT
"""Coders: objects that turn the keys and values of a named database into bytes and back.

The layouts are those of aiolmdb's coders of the same names: integers are big-endian, JSON is UTF-8 text as
`json.dumps` writes it with ``ensure_ascii=False``, compressed values are one zlib stream. All may be used from
any thread.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from zlmdb.errors import DecodeError, WrongType, WrongValue

from .scalars import plain_int, wrong_size

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")
_SLICE: Final = 1 << 20
_LEVELS: Final = range(10)


class Coder(ABC, Generic[T]):
    """Turns objects into bytes and back; subclass it for your own.

    Both methods are called on worker threads, inside a transaction, several at a time. An object must not change
    from the call that stores it until its outcome is known. What `serialize` and `deserialize` raise fails the
    operation. Keys lie in the order of their bytes.
    """

    @abstractmethod
    def serialize(self, obj: T) -> ReadableBuffer:
        """Return the bytes (or another buffer) that stand for ``obj``."""

    @abstractmethod
    def deserialize(self, buffer: memoryview) -> T:
        """Return the object that the bytes stand for.

        ``buffer`` is the database's own memory, valid during this call only: copy what is to be kept.
        """

    def compressed(self, level: int = 1) -> Coder[T]:
        """Return a coder that stores what this one makes as a zlib stream; ``level`` is 0 to 9 (smallest).

        The level does not matter for reading. Not for keys, whose order it would lose. Raises `WrongValue`.
        """
        return ZlibCoder(self, level)

    def __repr__(self) -> str:
        """Return the name of the class."""
        return f"<{type(self).__name__}>"


class IdentityCoder(Coder[bytes]):
    """Bytes as they are; takes any buffer."""

    def serialize(self, obj: ReadableBuffer) -> bytes:
        """Return ``obj`` as bytes; raises `WrongType`."""
        if isinstance(obj, bytes):
            return obj
        try:
            return bytes(memoryview(obj))
        except TypeError as error:
            raise WrongType(f"a {type(obj).__name__} is no bytes", got=obj, expected="bytes or a buffer") from error

    def deserialize(self, buffer: memoryview) -> bytes:
        """Return a copy."""
        if len(buffer) <= _SLICE:
            return bytes(buffer)
        copy = io.BytesIO()  # in slices, between which the event loop's thread can have the interpreter
        for start in range(0, len(buffer), _SLICE):
            copy.write(buffer[start : start + _SLICE])
        return copy.getvalue()


class StringCoder(Coder[str]):
    """Text; raises `WrongType`, `WrongValue` for what ``encoding`` has no bytes for, and `DecodeError`."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding

    def serialize(self, obj: str) -> bytes:
        """Return the text encoded."""
        if not isinstance(obj, str):
            raise WrongType(f"a {type(obj).__name__} is no string", got=obj, expected="a str")
        try:
            return obj.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise WrongValue(
                f"the string has no form in {self.encoding}", got=obj, expected=f"{self.encoding} text"
            ) from error

    def deserialize(self, buffer: memoryview) -> str:
        """Return the text."""
        return _decoded(buffer, self.encoding)


class _UIntCoder(Coder[int]):
    """Unsigned integers of ``size`` bytes, big-endian: as keys they lie in numeric order.

    Raises `WrongType`, `WrongValue` for a number that does not fit, and `DecodeError`.
    """

    size: ClassVar[int]

    def serialize(self, obj: int) -> bytes:
        """Return the number's bytes."""
        limit = (1 << 8 * self.size) - 1
        expected = f"an int from 0 to {limit}"
        number = plain_int(obj, expected)
        if 0 <= number <= limit:
            return number.to_bytes(self.size, "big")
        raise WrongValue(f"the number does not fit into {self.size} bytes", got=obj, expected=expected)

    def deserialize(self, buffer: memoryview) -> int:
        """Return the number."""
        if len(buffer) != self.size:
            raise wrong_size("integer", bytes(buffer), f"{self.size} bytes")
        return int.from_bytes(buffer, "big")


class UInt16Coder(_UIntCoder):
    """Integers from 0 to 65535, in two bytes."""

    size = 2


class UInt32Coder(_UIntCoder):
    """Integers from 0 to 2**32 - 1, in four bytes."""

    size = 4


class UInt64Coder(_UIntCoder):
    """Integers from 0 to 2**64 - 1, in eight bytes."""

    size = 8


class JSONCoder(Coder[Any]):
    """What `json` can write; Any, because JSON says nothing of the types.

    Raises `WrongType`, `WrongValue` and `DecodeError`. As keys objects are told apart by their text, so
    ``{"a": 1, "b": 2}`` and ``{"b": 2, "a": 1}`` are two.
    """

    def serialize(self, obj: Any) -> bytes:
        """Return the JSON text in UTF-8."""
        import json

        try:
            return json.dumps(obj, ensure_ascii=False).encode()
        except TypeError as error:
            raise WrongType("the object has no JSON form", got=obj, expected=str(error)) from error
        except (ValueError, RecursionError) as error:
            raise WrongValue("the object has no JSON form", got=obj, expected=str(error)) from error

    def deserialize(self, buffer: memoryview) -> Any:
        """Return the object."""
        import json

        try:
            return json.loads(_decoded(buffer, "utf-8"))
        except (ValueError, RecursionError) as error:
            raise _unreadable("JSON", buffer, error) from error


class PickleCoder(Coder[Any]):
    """What `pickle` can write; Any, because a pickle can hold anything. Raises `WrongType` and `DecodeError`.

    Reading a pickle can run any code: only for files that nobody else writes.
    """

    def serialize(self, obj: Any) -> bytes:
        """Return the pickle."""
        import pickle

        try:
            return pickle.dumps(obj)
        except Exception as error:
            raise WrongType("the object cannot be pickled", got=obj, expected=str(error)) from error

    def deserialize(self, buffer: memoryview) -> Any:
        """Return the object."""
        import pickle

        try:
            return pickle.loads(buffer)  # noqa: S301 - what this coder is for, and its docstring warns
        except Exception as error:
            raise _unreadable("pickle", buffer, error) from error


class ZlibCoder(Coder[T]):
    """What `Coder.compressed` returns."""

    def __init__(self, coder: Coder[T], level: int) -> None:
        if type(level) is not int or level not in _LEVELS:
            raise WrongValue("no level of compression", where="compressed", got=level, expected="an int from 0 to 9")
        self.coder = coder
        self.level = level

    def serialize(self, obj: T) -> bytes:
        """Return the zlib stream."""
        import zlib

        return zlib.compress(self.coder.serialize(obj), self.level)

    def deserialize(self, buffer: memoryview) -> T:
        """Return the object; raises `DecodeError` for what is no whole zlib stream."""
        import zlib

        try:
            plain = zlib.decompress(buffer)
        except zlib.error as error:
            raise _unreadable("zlib stream", buffer, error) from error
        return self.coder.deserialize(memoryview(plain))

    def __repr__(self) -> str:
        """Return what is compressed, and how much."""
        return f"<{self.coder!r} compressed, level {self.level}>"


def _decoded(buffer: memoryview, encoding: str) -> str:
    try:
        return str(buffer, encoding)
    except UnicodeDecodeError as error:
        raise _unreadable(f"{encoding} text", buffer, error) from error


def _unreadable(kind: str, buffer: memoryview, error: Exception) -> DecodeError:
    return DecodeError(
        f"the stored bytes are no {kind} ({error})",
        got=bytes(buffer[:64]),
        expected=f"{kind}, whole",
        next_step="open the database with the coders it was written with",
    )
