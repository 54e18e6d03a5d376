# SPDX-License-Identifier: MIT
"""Whether data that somebody else made can be written as CBOR and read back."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import Any, Final, NoReturn

from zlmdb.errors import WrongValue

_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})
_DEEPEST: Final = 500  # levels of containers; cbor2 reads 400, and ends the process when it writes some thousands
_OBJECT: Final = 27  # tags of CBOR
_SHARED: Final = 28
_REFERENCE: Final = 29


def is_plain(value: Any) -> bool:
    """Tell whether a value consists of built-in scalars and containers alone, which CBOR gives back as they are.

    Raises `WrongValue` for containers that are nested too deeply to be written.
    """
    try:
        # which takes these and no others, up to 2000 levels, and looks at them three times faster than Python can
        marshal.dumps(value)
    except ValueError:
        return _is_plain(value)
    return True


def _is_plain(value: Any) -> bool:
    """Do what `is_plain` does, level by level; what is contained twice, or in itself, is looked at once."""
    level, plain = [value], True
    seen: set[int] = set()
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for part in level:
            kind = type(part)
            if kind in _SCALARS or id(part) in seen:
                continue
            seen.add(id(part))
            if kind is dict:
                inner += part
                inner += part.values()
            elif kind in (list, tuple):
                inner += part
            else:
                plain = False
        if not inner:
            return plain
        level = inner
    raise WrongValue("containers are nested too deeply", got=f"more than {_DEEPEST} levels", expected="at most 400")


def as_read(value: Any) -> Any:
    """Return a copy of plain data as reading its CBOR will give it; raises as `read_back` does. Any thread."""
    return read_back(value)[0]


def read_back(value: Any) -> tuple[Any, int]:
    """Return a copy of plain data as reading its CBOR will give it, and how many bytes that has; any thread.

    Raises `WrongValue` for what cannot be written, or not be read: nesting deeper than 400 levels, tags of CBOR with
    a content that they cannot have, what cannot be written a second time, records whose class a later reader may lack.
    """
    import cbor2

    try:
        plain = is_plain(value)
        data = cbor2.dumps(value)
        copy = cbor2.loads(data, semantic_decoders=_REFUSED)
        if not plain:
            cbor2.dumps(copy)  # some things are read as objects that cannot be written
    except Exception as error:  # decoders of tags raise what they like
        raise WrongValue(f"this cannot be stored: {error}", got=value, expected="plain data") from error
    return copy, len(data)


def encoded_size(value: Any) -> int:
    """Return how many bytes plain data has as CBOR."""
    import cbor2

    return len(cbor2.dumps(value))


def _refuse(*_: object) -> NoReturn:
    raise ValueError("an object or a reference, which not every reader can resolve")


_REFUSED: Final[dict[int, Callable[..., NoReturn]]] = {_OBJECT: _refuse, _SHARED: _refuse, _REFERENCE: _refuse}
