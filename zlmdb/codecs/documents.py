# SPDX-License-Identifier: MIT
"""JSON and CBOR documents (FORMAT.md section 3), and declared records inside them.

Plain data is written exactly as ``cbor2.dumps`` and ``json.dumps`` write it. An instance of a class declared
with `declare_record` becomes CBOR tag 27 around ``[uuid, {fields}]``, in JSON an object of the two members
``__table__`` and ``__record__``, and reading gives the class back. Plain data of exactly these forms is refused,
for it would be read as a record. All functions may be called from any thread.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from io import BytesIO
from typing import Any, Final, NoReturn

from zlmdb.errors import DecodeError, EncodeError, WrongType, WrongValue

from .base import MARK, ValueCodec
from .conversion import HASHABLE, Conversion
from .declared import declared_class, declared_conversion, declared_uuid, is_uuid_text
from .filling import Filling

_TABLE: Final = "__table__"
_RECORD: Final = "__record__"
_OBJECT_TAG: Final = 27  # "serialised language-independent object with type name and constructor arguments"
_TAG_BYTE: Final = MARK  # looked for first: one byte is found ten times sooner than two
_find_object_tag: Final = re.compile(rb"\xd8\x1b").search  # twice as fast as `in`
_DEEPEST: Final = 400  # containers within containers: what cbor2 reads; each is a byte at least
_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})
_NO_CONTAINERS: Final = (str, bytes, bytearray, memoryview, range)
_get_ident: Final = threading.get_ident
_encoders: Final[dict[int, Callable[[Any], bytes]]] = {}
"""CBOR encoders by thread: making one for each record costs a sixth of its encoding. Few, as idents come again."""


def _with_conversion(
    name: str, conversion: Conversion, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]
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
    return ValueCodec(name, encode, decode)


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


def _raise_for(error: Exception, otherwise: Exception) -> NoReturn:
    """Raise what a hook raised inside a library; if the library itself complained, ``otherwise``."""
    if hook := _hook_error(error):
        raise hook from hook.__cause__
    raise otherwise from error


def _containers(value: Any, wrapper: type | tuple[()] = ()) -> Iterator[Any]:
    """Yield the containers that plain data consists of; instances of classes that a hook writes are not entered."""
    parts: list[Any] = [value]
    seen: set[int] = set()
    for part in parts:  # which grows meanwhile, and keeps all parts alive, so that their ids stay apart
        if type(part) in _SCALARS or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, (list, tuple)):
            parts += part
        elif isinstance(part, (dict, Mapping)):
            parts += [key for key in part if type(key) is not str]
            parts += part.values()
        elif isinstance(part, wrapper):
            wrapped: Any = part
            parts.append(wrapped.value)
        elif isinstance(part, (Sequence, AbstractSet)) and not isinstance(part, _NO_CONTAINERS):
            parts += part


def _no_record(fmt: str, got: object) -> WrongValue:
    return WrongValue(
        f"this {fmt} is no declared record and would be read as one",
        got=got,
        expected="plain data of another form, or an instance of a declared class",
    )


def _declared_to_plain(value: Any, fmt: str, check: Callable[[Any], None]) -> tuple[str, Any]:
    """Return UUID and plain fields of an instance of a declared class; raise `WrongType` for any other.

    ``check`` refuses fields that hold what would be read as a record.
    """
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
        plain = declared_conversion(cls, fmt).plain(value)
        check(plain)
        return uuid, plain
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

    encode, from_plain, filling = _cbor_encoder(conversion.to_plain), conversion.from_plain, conversion.filling
    if from_plain is None:
        return ValueCodec("Cbor", encode, _cbor_decoder(), verify=_verify_cbor, plainly=cbor2.loads)
    if filling is None:
        return ValueCodec("Cbor", encode, _converting_decoder(from_plain), verify=_verify_cbor)
    encode, decode = _filled_encoder(filling, encode), _filled_decoder(filling, from_plain)
    filled = (cbor2.loads, filling.cls, filling.size, filling.has_all, filling.set_dict)
    return ValueCodec("Cbor", encode, decode, verify=_verify_cbor, filled=filled)


def _cbor_encoder(to_plain: Callable[[Any], Any] | None) -> Callable[[Any], bytes]:
    import cbor2

    def encode(value: Any) -> bytes:
        plain = value if to_plain is None else to_plain(value)
        try:
            data: bytes = (_encoders.get(_get_ident()) or _new_encoder())(plain)
        except (cbor2.CBOREncodeError, ValueError, RecursionError, OverflowError, _HookFailed) as error:
            _raise_for(error, _unwritable("CBOR", plain, error))
        if _TAG_BYTE in data and _find_object_tag(data):
            _check_cbor(plain)
        if len(data) > _DEEPEST and _is_deep(plain):
            _check_depth(data)
        return data

    return encode


def _cbor_decoder() -> Callable[[bytes], Any]:
    import cbor2

    loads, semantic = cbor2.loads, {_OBJECT_TAG: _read_cbor_record}

    def decode(data: bytes) -> Any:
        try:
            if _TAG_BYTE in data and _find_object_tag(data):
                return loads(data, semantic_decoders=semantic)
            return loads(data)
        except Exception as error:  # noqa: BLE001 (decoders of dates, regular expressions … raise what they like)
            _raise_for(error, _unreadable("CBOR", data, error))

    return decode


def _converting_decoder(from_plain: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    import cbor2

    loads, semantic = cbor2.loads, {_OBJECT_TAG: _read_cbor_record}

    def decode(data: bytes) -> Any:
        try:  # as `_cbor_decoder` once more: a call less for each record
            if _TAG_BYTE in data and _find_object_tag(data):
                plain = loads(data, semantic_decoders=semantic)
            else:
                plain = loads(data)
        except Exception as error:  # noqa: BLE001
            _raise_for(error, _unreadable("CBOR", data, error))
        return from_plain(plain)

    return decode


def _filled_encoder(filling: Filling, careful: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Return what writes records of a class that keeps its fields in its ``__dict__``, without a call for it."""
    cls, size, has_all = filling.cls, filling.size, filling.has_all

    def encode(value: Any) -> bytes:
        try:
            if value.__class__ is cls:
                plain = value.__dict__  # the encoder only reads it
                has_all(plain)
                if len(plain) == size:
                    data: bytes = _encoders[_get_ident()](plain)
                    if _TAG_BYTE not in data and len(data) <= _DEEPEST:
                        return data
        except Exception:  # noqa: BLE001, S110  the careful way finds out again, and says it better
            pass
        return careful(value)

    return encode


def _filled_decoder(filling: Filling, from_plain: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    """Return what reads records of a class that its fields are simply put into, without a call for it."""
    import cbor2

    loads, new = cbor2.loads, object.__new__
    cls, size, has_all, set_dict = filling.cls, filling.size, filling.has_all, filling.set_dict
    careful = _converting_decoder(from_plain)

    def decode(data: bytes) -> Any:
        try:
            if _TAG_BYTE not in data:
                plain = loads(data)
                if plain.__class__ is dict and len(plain) == size:
                    has_all(plain)
                    value: Any = new(cls)
                    set_dict(value, plain)  # not a copy: the decoder made it for this record alone
                    return value
        except Exception:  # noqa: BLE001, S110  the careful way finds out again, and says it better
            pass
        return careful(data)

    return decode


def _is_deep(value: Any) -> bool:
    """Tell whether containers may be nested nearly as deeply as cbor2 reads; it writes them as deeply as they are."""
    level = [value]
    for _ in range(_DEEPEST - 100):
        inner: list[Any] = []
        for part in level:
            if isinstance(part, Mapping):
                inner += part.values()
                inner += (key for key in part if type(key) is tuple)
            elif isinstance(part, (list, tuple, AbstractSet)):
                inner += part
            elif declared_uuid(type(part)) is not None:
                return True  # its fields are not known here
        level = inner if not _SCALARS.issuperset(map(type, inner)) else []
        if not level:
            return False
    return True


def _check_depth(data: bytes) -> None:
    import cbor2

    try:
        cbor2.loads(data, semantic_decoders={_OBJECT_TAG: lambda *_: None})
    except cbor2.CBORDecodeError as error:
        raise WrongValue(
            f"this could not be read again: {error}",
            got=f"{len(data)} bytes of CBOR",
            expected=f"containers nested at most {_DEEPEST} deep",
        ) from error


def _new_encoder() -> Callable[[Any], bytes]:
    """Make the encoder of this thread: two threads in one would mix their bytes when a hook lets them alternate."""
    import cbor2

    encoder = cbor2.CBOREncoder(BytesIO(), default=_write_cbor_record)
    _encoders[_get_ident()] = encode = encoder.encode_to_bytes
    return encode


def _write_cbor_record(encoder: Any, value: Any) -> None:
    import cbor2

    uuid, plain = _declared_to_plain(value, "cbor", _check_cbor)
    encoder.encode(cbor2.CBORTag(_OBJECT_TAG, [uuid, plain]))


def _read_cbor_record(parts: Any, immutable: bool) -> Any:
    import cbor2

    if _is_cbor_record(parts):
        # inside a set or a key all parts are immutable, and hooks know lists and maps alone
        return _declared_from_plain(parts[0], parts[1], HASHABLE if immutable else "cbor")
    # somebody else's use of the tag: what cbor2 itself makes of it holds immutable parts
    return cbor2.CBORTag(_OBJECT_TAG, cbor2.loads(cbor2.dumps(parts), immutable=True))


def _is_cbor_record(parts: Any) -> bool:
    return type(parts) in (list, tuple) and len(parts) == 2 and is_uuid_text(parts[0])


def _check_cbor(plain: Any) -> None:
    """Refuse objects of plain data that would be read as declared records."""
    import cbor2

    for part in _containers(plain, cbor2.CBORTag):
        if isinstance(part, cbor2.CBORTag) and part.tag == _OBJECT_TAG:
            # many things are written as a list; what stands deeper is of no interest
            data = cbor2.dumps(part.value, default=lambda encoder, _: encoder.encode(None))
            try:
                is_record = _is_cbor_record(cbor2.loads(data, semantic_decoders={_OBJECT_TAG: lambda *_: None}))
            except Exception as error:  # decoders of tags raise what they like; references may lead outside
                raise _unwritable("CBOR", part, error) from error
            if is_record:
                raise _no_record("tag 27", part)


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
        uuid, plain = _declared_to_plain(value, "json", _check_json)
        return {_TABLE: uuid, _RECORD: plain}

    def read_object(found: dict[str, Any]) -> Any:
        if _is_json_record(found):
            return _declared_from_plain(found[_TABLE], found[_RECORD], "json")
        return found

    to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default).encode
    plain_from_text = json.JSONDecoder().decode
    from_text = json.JSONDecoder(object_hook=read_object).decode

    def encode(value: Any) -> bytes:
        try:
            text = to_text(value)
            data = text.encode()
        except (ValueError, TypeError, RecursionError, _HookFailed) as error:
            _raise_for(error, _unwritable("JSON", value, error))
        if _TABLE in text:
            _check_json(value)
        return data

    def decode(data: bytes) -> Any:
        try:
            text = str(data, "utf-8")
            return from_text(text) if _TABLE in text else plain_from_text(text)
        except (ValueError, RecursionError, _HookFailed) as error:
            _raise_for(error, _unreadable("JSON", data, error))

    return _with_conversion("Json", conversion, encode, decode)


def _is_json_record(found: Mapping[str, Any]) -> bool:
    return len(found) == 2 and _RECORD in found and is_uuid_text(found.get(_TABLE))


def _check_json(plain: Any) -> None:
    """Refuse objects of plain data that would be read as declared records."""
    for part in _containers(plain):
        if isinstance(part, dict) and _is_json_record(part):
            raise _no_record("JSON object", part)
