# SPDX-License-Identifier: MIT
"""JSON and CBOR documents (FORMAT.md section 3), and declared records inside them.

Plain data is written exactly as ``cbor2.dumps`` and ``json.dumps`` write it. An instance of a class declared
with `declare_record` becomes CBOR tag 27 around ``[uuid, {fields}]``, in JSON an object of the two members
``__table__`` and ``__record__``, and reading gives the class back. All functions may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

from zlmdb.errors import DecodeError, EncodeError, WrongType, WrongValue

from .base import ValueCodec
from .conversion import Conversion
from .declared import declared_class, declared_conversion, declared_uuid, is_uuid_text

_TABLE: Final = "__table__"
_RECORD: Final = "__record__"
_OBJECT_TAG: Final = 27  # "serialised language-independent object with type name and constructor arguments"
_OBJECT_TAG_BYTES: Final = b"\xd8\x1b"
_TAG_BYTE: Final = 0xD8  # looked for first: one byte is found ten times sooner than two


def _with_conversion(
    name: str,
    conversion: Conversion,
    dumps: Callable[[Any], bytes],
    loads: Callable[[bytes], Any],
    verify: Callable[[bytes], object] | None = None,
) -> ValueCodec[Any]:
    encode, decode = dumps, loads
    if to_plain := conversion.to_plain:

        def encode_converted(value: Any) -> bytes:
            return dumps(to_plain(value))

        encode = encode_converted
    if from_plain := conversion.from_plain:

        def decode_converted(data: bytes) -> Any:
            return from_plain(loads(data))

        decode = decode_converted
    return ValueCodec(name, encode, decode, verify=verify)


class _HookFailed(Exception):
    """Carries an error of a user's hook through a library that would wrap it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _hook_error(error: BaseException | None) -> Exception | None:
    """Return what a hook raised inside a library, or None if the library itself complained."""
    while error is not None:
        if isinstance(error, _HookFailed):
            return error.error
        error = error.__cause__
    return None


def _declared_to_plain(value: Any, fmt: str) -> tuple[str, Any]:
    """Return UUID and plain fields of an instance of a declared class; raise `WrongType` for any other."""
    uuid = declared_uuid(type(value))
    try:
        if uuid is None:
            raise WrongType(
                f"a {type(value).__name__} cannot be stored as {fmt.upper()}",
                got=value,
                expected="plain data or an instance of a declared record",
                next_step="declare the class with @table, or give the table marshal and unmarshal",
            )
        cls: type = type(value)
        return uuid, declared_conversion(cls, fmt).plain(value)
    except Exception as error:
        raise _HookFailed(error) from error


def _declared_from_plain(uuid: str, plain: Any, fmt: str) -> Any:
    try:
        return declared_conversion(declared_class(uuid), fmt).value(plain)
    except Exception as error:
        raise _HookFailed(error) from error


# --- CBOR --------------------------------------------------------------------------------------------


def cbor_codec(conversion: Conversion) -> ValueCodec[Any]:
    """Build the codec of CBOR documents; imports cbor2."""
    import cbor2

    dumps, loads = cbor2.dumps, cbor2.loads

    def default(encoder: Any, value: Any) -> None:
        uuid, plain = _declared_to_plain(value, "cbor")
        encoder.encode(cbor2.CBORTag(_OBJECT_TAG, [uuid, plain]))

    def read_object(value: Any, _immutable: object) -> Any:
        if type(value) in (list, tuple) and len(value) == 2 and is_uuid_text(value[0]):
            # inside a set or a key cbor2 gives an immutable map
            plain = dict(value[1]) if isinstance(value[1], Mapping) else value[1]
            return _declared_from_plain(value[0], plain, "cbor")
        # somebody else's use of the tag: what cbor2 itself makes of it holds immutable parts
        return cbor2.CBORTag(_OBJECT_TAG, loads(dumps(value), immutable=True))

    semantic = {_OBJECT_TAG: read_object}

    def encode(value: Any) -> bytes:
        try:
            return dumps(value, default=default)
        except (cbor2.CBOREncodeError, ValueError, RecursionError, OverflowError, _HookFailed) as error:
            if hook := _hook_error(error):
                raise hook from hook.__cause__
            raise _unwritable("CBOR", value, error) from error

    def decode(data: bytes) -> Any:
        try:
            if _TAG_BYTE in data and _OBJECT_TAG_BYTES in data:
                return loads(data, semantic_decoders=semantic)
            return loads(data)
        except Exception as error:  # decoders of tags (dates, regular expressions …) raise what they like
            if hook := _hook_error(error):
                raise hook from hook.__cause__
            raise _unreadable("CBOR", data, error) from error

    return _with_conversion("Cbor", conversion, encode, decode, _verify_cbor)


def _verify_cbor(data: bytes) -> None:
    """Refuse bytes behind the item, which ``loads`` passes over."""
    import cbor2

    stream = BytesIO(data)
    cbor2.CBORDecoder(stream, semantic_decoders={_OBJECT_TAG: lambda *_: None}).decode()
    if rest := len(data) - stream.tell():
        raise DecodeError(f"{rest} bytes follow the stored CBOR", got=data, expected="one CBOR document")


def _unwritable(fmt: str, value: Any, error: Exception) -> EncodeError:
    kind = WrongType if isinstance(error, TypeError) else WrongValue
    return kind(f"this cannot be stored as {fmt}: {error}", got=value, expected="plain data")


def _unreadable(fmt: str, data: bytes, error: Exception) -> DecodeError:
    return DecodeError(f"the stored {fmt} cannot be read: {error}", got=data, expected=f"one {fmt} document")


# --- JSON --------------------------------------------------------------------------------------------


def json_codec(conversion: Conversion) -> ValueCodec[Any]:
    """Build the codec of JSON documents."""
    import json

    def default(value: Any) -> Any:
        uuid, plain = _declared_to_plain(value, "json")
        return {_TABLE: uuid, _RECORD: plain}

    def read_object(found: dict[str, Any]) -> Any:
        if len(found) == 2 and _RECORD in found and is_uuid_text(found.get(_TABLE)):
            return _declared_from_plain(found[_TABLE], found[_RECORD], "json")
        return found

    to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default).encode
    plain_from_text = json.JSONDecoder().decode
    from_text = json.JSONDecoder(object_hook=read_object).decode

    def encode(value: Any) -> bytes:
        try:
            return to_text(value).encode()
        except (ValueError, TypeError, RecursionError, _HookFailed) as error:
            if hook := _hook_error(error):
                raise hook from hook.__cause__
            raise _unwritable("JSON", value, error) from error

    def decode(data: bytes) -> Any:
        try:
            text = str(data, "utf-8")
            return from_text(text) if _TABLE in text else plain_from_text(text)
        except (ValueError, RecursionError, _HookFailed) as error:
            if hook := _hook_error(error):
                raise hook from hook.__cause__
            raise _unreadable("JSON", data, error) from error

    return _with_conversion("Json", conversion, encode, decode)
