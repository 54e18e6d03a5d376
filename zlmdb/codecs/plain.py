# SPDX-License-Identifier: MIT
"""Whether data that somebody else made can be written as CBOR and read back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

from zlmdb.errors import WrongValue

_FIXED: Final = frozenset({float, bool, type(None)})
_CONTAINERS: Final = (list, tuple, dict)
_SEQUENCES: Final = (list, tuple, set, frozenset, deque)
_DEEPEST: Final = 400  # levels of containers that cbor2 reads; it ends the process when it writes some thousands
_SHORT: Final = 64  # bytes of a part that counts as one, however often it is contained
_WIDE: Final = 2 ** (8 * _SHORT)
_REPEATED: Final = 100_000  # parts that come of containing others more than once
_OBJECT: Final = 27  # tags of CBOR
_SHARED: Final = 28
_REFERENCE: Final = 29


def is_plain(value: Any) -> bool:
    """Tell whether a value consists of what CBOR gives back as it is; but a tuple that is no key becomes a list.

    That is None, bools, ints, floats, strings that have a UTF-8 form, bytes, and lists, tuples and dictionaries of
    these; not of classes derived from them. Each part that is contained several times is written as often.

    Raises `WrongValue` for containers nested more than 400 levels deep, as all are that contain themselves, and for
    more than 100,000 parts that come of containing others more than once: a few bytes may stand for gigabytes.
    """
    walk, level = _Walk(), [value]
    for _ in range(_DEEPEST):
        level = walk.below(level)
        if not level:
            return walk.plain
    if any(isinstance(part, _CONTAINERS) for part in level) or walk.below(level):
        expected = f"at most {_DEEPEST} levels"
        raise WrongValue("containers are nested too deeply", got="more levels", expected=expected)
    return walk.plain


class _Walk:
    """What is known of a value of which one level after the other is looked at."""

    def __init__(self) -> None:
        self.plain = True
        self._left = _REPEATED
        self._seen: set[int] = set()

    def below(self, level: Iterable[Any]) -> list[Any]:
        """Return what these parts contain, which is all that writing them would write."""
        inner: list[Any] = []
        for part in level:
            kind = type(part)
            if kind is str:
                if len(part) > _SHORT or not part.isascii():
                    self._text(part)
            elif kind is list or kind is tuple:
                self._count(part, len(part))
                inner += part
            elif kind is dict:
                self._count(part, 2 * len(part))
                inner += part
                inner += part.values()
            elif kind not in _FIXED and (kind is not int or not -_WIDE < part < _WIDE):
                inner += self._rare(part, kind)
        return inner

    def _text(self, part: str) -> None:
        self._count(part, len(part) // _SHORT)
        try:
            part.encode()
        except UnicodeEncodeError:
            self.plain = False

    def _rare(self, part: Any, kind: type) -> Iterable[Any]:
        """Count a part that may be large, or is not plain; return what it contains."""
        if kind is bytes:
            self._count(part, len(part) // _SHORT)
            return ()
        if kind is int:
            self._count(part, part.bit_length() // (8 * _SHORT))
            return ()
        self.plain = False
        parts = _parts(part)
        self._count(part, len(parts) if parts or id(part) not in self._seen else _weight(part))
        return parts

    def _count(self, part: Any, weight: int) -> None:
        place = id(part)
        if place not in self._seen:
            self._seen.add(place)
            return
        self._left -= weight + 1
        if self._left < 0:
            expected = f"at most {_REPEATED} parts that others contain more than once"
            raise WrongValue("parts are contained again and again", got="more parts", expected=expected)


def _parts(part: Any) -> list[Any]:
    """Return what CBOR writes of a container that is not plain."""
    import cbor2

    if isinstance(part, cbor2.CBORTag):
        return [part.value]
    if isinstance(part, Mapping):
        return [*part, *part.values()]
    return list(part) if isinstance(part, _SEQUENCES) else []


def _weight(part: Any) -> int:
    try:
        return encoded_size(part) // _SHORT
    except Exception:  # noqa: BLE001 - whoever writes it is told
        return 0


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
        got = type(value).__name__  # a text of the value may be as large as what is refused
        raise WrongValue(f"this cannot be stored: {error}", got=got, expected="plain data") from error
    return copy, len(data)


def encoded_size(value: Any) -> int:
    """Return how many bytes plain data has as CBOR."""
    import cbor2

    return len(cbor2.dumps(value))


def _refuse(*_: object) -> NoReturn:
    raise ValueError("an object or a reference, which not every reader can resolve")


_REFUSED: Final[dict[int, Callable[..., NoReturn]]] = {_OBJECT: _refuse, _SHARED: _refuse, _REFERENCE: _refuse}
