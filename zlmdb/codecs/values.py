# SPDX-License-Identifier: MIT
"""Value codecs by name (FORMAT.md section 3)."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

from zlmdb.errors import DecodeError, TableDeclaration, WrongType

from .base import ValueCodec
from .compression import compressed
from .names import VALUE_NAMES, check_kind_name, key_codec, unknown_kind
from .packed import packed_set_codec, set_member, string_set_codec
from .published import SINGLE_KEYS

Hook = Callable[[Any], Any]

_DOCUMENTS: Final = frozenset({"Json", "Cbor"})
_PLAIN_KEYS: Final = frozenset({*SINGLE_KEYS, "Bytes20Timestamp"} - {"Bytes", "Slot"})


def value_codec(
    name: str,
    *,
    marshal: Hook | None = None,
    unmarshal: Hook | None = None,
    build: Callable[..., Any] | None = None,
    cast: Hook | None = None,
    record: Any = None,
    compress: object = None,
) -> ValueCodec[Any]:
    """Return the codec of a value kind. May be called from any thread.

    ``marshal`` and ``unmarshal`` turn a value into plain data and back, for Json and Cbor; both or neither.
    ``record`` is the class (or type) that these two kinds hold otherwise: see `zlmdb.codecs.records`.
    For Numpy, ``record`` may declare dtype and shape: see `zlmdb.codecs.declared_arrays`.
    For FlatBuffers, ``record`` is a `FlatRecord` or a class made by `load_fbs`; any other values need ``build``
    and ``cast``, or a ``marshal`` that returns the finished buffer, and ``unmarshal``. ``compress``: None,
    1 or "zlib", 2 or "snappy".

    Raises `TableDeclaration` on an unknown kind or wrong hooks, `WrongValue` on an unknown compression,
    `MissingDependency` when the library of the kind is absent.
    """
    check_kind_name("value", name)
    name = "Numpy" if name == "NumPy" else name
    for hook in (marshal, unmarshal, build, cast):
        if hook is not None and not callable(hook):
            raise TableDeclaration("a hook is not a function", got=hook, expected="functions, or None")
    if (marshal or unmarshal) and name not in {*_DOCUMENTS, "FlatBuffers"}:
        raise TableDeclaration(f"{name} values take no marshal and unmarshal", expected="a Json or Cbor table")
    if (build or cast) and name != "FlatBuffers":
        raise TableDeclaration(f"{name} values take no build and cast", expected="a FlatBuffers table")
    if name in _DOCUMENTS:
        codec = _document_codec(name, marshal, unmarshal, record)
    elif name == "FlatBuffers":
        codec = _finished_codec(marshal, unmarshal or cast) if marshal else _flatbuffers_codec(build, cast, record)
    elif name == "Numpy":
        codec = _array_codec(record)
    else:
        codec = _value_codec(name)
    return compressed(codec, compress)


def _value_codec(name: str) -> ValueCodec[Any]:
    if name in _PLAIN_KEYS:
        key = key_codec(name)  # a single value is stored as a single key is
        return ValueCodec(name, key.encode, key.decode)
    if name == "Bytes":
        return ValueCodec(name, _encode_bytes, _decode_bytes, views=True)
    if name == "StringSet":
        return string_set_codec()
    if member := set_member(name):
        return packed_set_codec(name, member)
    if name == "Pickle":
        return _pickle_codec()
    try:
        keys = key_codec(name)  # tuples, as the keys of other tables: what an index of such a table holds
    except TableDeclaration:
        raise unknown_kind("value", name, [*VALUE_NAMES]) from None
    return ValueCodec(name, keys.encode, keys.decode)


def _array_codec(record: Any) -> ValueCodec[Any]:
    from .arrays import array_codec
    from .declared_arrays import declared_array_codec

    return declared_array_codec(record) or array_codec()


def _document_codec(name: str, marshal: Hook | None, unmarshal: Hook | None, record: Any) -> ValueCodec[Any]:
    from . import documents
    from .conversion import Conversion
    from .records import top_conversion

    if (marshal is None) != (unmarshal is None):
        raise TableDeclaration(
            f"a {name} table needs both marshal and unmarshal, or neither",
            expected="two functions: value to plain data, and plain data to value",
        )
    fmt = name.lower()
    mapping = Conversion(marshal, unmarshal) if marshal else top_conversion(record, fmt)
    return documents.cbor_codec(mapping) if name == "Cbor" else documents.json_codec(mapping)


def _flatbuffers_codec(build: Callable[..., Any] | None, cast: Hook | None, record: Any) -> ValueCodec[Any]:
    from .flatbuffers import flatbuffers_codec, record_codec

    if build and cast:
        return flatbuffers_codec(build, cast)
    codec = record_codec(record) if isinstance(record, type) and not (build or cast) else None
    if codec is None:
        raise TableDeclaration(
            "a FlatBuffers table needs both build and cast, or a record class that has them",
            got=record,
            expected="build(value, builder) returning the root's offset, and cast(data) returning the value",
            next_step="pass both, or name a FlatRecord or a class made by load_fbs() as the record",
        )
    return codec


def _finished_codec(marshal: Hook, unmarshal: Hook | None) -> ValueCodec[Any]:
    if unmarshal is None:
        raise TableDeclaration(
            "a FlatBuffers table with marshal needs unmarshal too",
            expected="two functions: value to a finished buffer, and buffer to value",
        )

    def encode(value: Any) -> bytes:
        return _encode_bytes(marshal(value))

    return ValueCodec("FlatBuffers", encode, unmarshal, views=True)


def _encode_bytes(value: bytes | bytearray | memoryview) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise WrongType(f"a {type(value).__name__} is no Bytes", got=value, expected="bytes")


def _decode_bytes(data: bytes) -> bytes:
    return data


def _pickle_codec() -> ValueCodec[Any]:
    """Build the codec of pickles: reading a file that others can write executes what they put there."""
    import pickle

    def encode(value: Any) -> bytes:
        try:
            return pickle.dumps(value, 2)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            raise WrongType(f"this cannot be pickled: {error}", got=value, expected="a picklable object") from error

    def decode(data: bytes) -> Any:
        try:
            return pickle.loads(data)  # noqa: S301 (the kind exists for existing files)
        except Exception as error:  # unpickling runs any code and so raises anything
            raise DecodeError(f"a stored pickle cannot be read: {error}", got=data, expected="a pickle") from error

    def verify(data: bytes) -> None:
        """Refuse bytes behind the pickle, which ``loads`` passes over."""
        stream = BytesIO(data)
        pickle.load(stream)  # noqa: S301 (was done already when this is called)
        if rest := len(data) - stream.tell():
            raise DecodeError(f"{rest} bytes follow the stored pickle", got=data, expected="a pickle")

    return ValueCodec("Pickle", encode, decode, verify=verify)
