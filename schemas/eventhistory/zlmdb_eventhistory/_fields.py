# SPDX-License-Identifier: MIT
"""Whether the fields of an event are what they are declared to be, and can be read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from zlmdb.codecs import is_plain
from zlmdb.errors import WrongType

_KINDS: Final[dict[str, type]] = {
    **dict.fromkeys(("publication", "time_ns", "sequence", "clock_ns", "expires_ns", "publisher"), int),
    **dict.fromkeys(("topic", "publisher_authid", "publisher_authrole", "realm"), str),
    **dict.fromkeys(("enc_algo", "enc_key", "enc_serializer"), str),
    **dict.fromkeys(("acknowledge", "retain", "exclude_me"), bool),
    "args": list,
    "kwargs": dict,
    "payload": bytes,
}
_MEMBERS: Final[dict[str, type]] = {
    **dict.fromkeys(("exclude", "eligible"), int),
    **dict.fromkeys(("exclude_authid", "exclude_authrole", "eligible_authid", "eligible_authrole"), str),
}
_ALSO: Final[dict[str, tuple[type, ...]]] = {"args": (tuple,), "payload": (bytearray,), "enc_key": (bytes,)}
_kind_of: Final = _KINDS.get
_FEW: Final = 16  # parts: the same text in each of them is no more than so many times what it has in memory
_contains_scalars: Final = frozenset({str, int, float, bool, bytes, type(None)}).issuperset


def check_fields(fields: Mapping[str, Any]) -> bool:
    """Tell whether all fields that are set are plain data; if not, only reading them shows whether they can be read.

    Raises `WrongType` for a field that no event has, or that is of another type than it is declared with, and
    `WrongValue` for what is nested too deeply, or contains the same again and again.
    """
    plain, kind_of = True, _kind_of
    for name, value in fields.items():
        if value.__class__ is not kind_of(name):
            plain = _check_other(name, value) and plain
    args, kwargs = fields.get("args"), fields.get("kwargs")
    return (args is kwargs is None or _is_flat(args, kwargs) or is_plain((args, kwargs))) and plain


def _is_flat(args: Any, kwargs: Any) -> bool:
    """Tell whether these are a few scalars, as with most events, which takes half the time of looking at each."""
    return (args is None or (len(args) <= _FEW and _contains_scalars(map(type, args)))) and (
        kwargs is None
        or (
            len(kwargs) <= _FEW
            and _contains_scalars(map(type, kwargs))
            and _contains_scalars(map(type, kwargs.values()))
        )
    )


def _check_other(name: str, value: Any) -> bool:
    """Check a field whose class is not just the declared one; tell whether it is plain."""
    if (member := _MEMBERS.get(name)) is not None:
        return _check_list(name, value, member)
    kind = _KINDS.get(name)
    if kind is None:
        raise WrongType("an event has no such field", where=name, got=value, expected=f"one of {sorted(_KINDS)}")
    also = _ALSO.get(name, ())
    if not isinstance(value, (kind, *also)) or (kind is int and isinstance(value, bool)):
        expected = " or ".join(each.__name__ for each in (kind, *also))
        raise WrongType("not what this field of an event holds", where=name, got=value, expected=f"{expected}, or None")
    return type(value) in also


def _check_list(name: str, value: Any, member: type) -> bool:
    if not isinstance(value, (list, tuple)) or not all(type(each) is member for each in value):
        expected = f"a list of {member.__name__}, or None"
        raise WrongType("not what this field of an event holds", where=name, got=value, expected=expected)
    return is_plain(value)
