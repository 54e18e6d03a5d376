# SPDX-License-Identifier: MIT
"""Names of kinds: ``MapUint16StringCbor`` maps (Uint16, String) to Cbor, because its name says so."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from zlmdb.errors import TableDeclaration

from .base import KeyCodec
from .composite import compose
from .published import PUBLISHED_MAPS, SINGLE_KEYS, is_published_key, published_key_codec
from .scalars import OID

_VALUES: Final = (
    "Bytes Bytes16 Bytes20 Bytes32 Cbor FlatBuffers Json Numpy Oid OidSet Pickle String Timestamp"
    " Uint8 Uint16 Uint64 Uuid UuidSet"
)
VALUE_NAMES: Final = frozenset(_VALUES.split())
"""The value kinds that a composed map name may end in."""

_KEY_TOKENS: Final[dict[str, list[KeyCodec[Any]]]] = {
    **{name: [codec] for name, codec in SINGLE_KEYS.items()},
    "Oid3": [OID, OID, OID],
}
_VALUE_TOKENS: Final = {**{name: name for name in VALUE_NAMES}, "NumPy": "Numpy"}
# the longest token first, so that UuidSet is not read as Uuid
_TOKEN: Final = re.compile("|".join(sorted({*_KEY_TOKENS, *_VALUE_TOKENS}, key=lambda token: (-len(token), token))))


def _tokens(name: str) -> list[str] | None:
    """Cut a name into its tokens; None if something remains."""
    found = _TOKEN.findall(name)
    return found if found and "".join(found) == name else None


@cache
def split_name(name: str) -> tuple[str, str] | None:
    """Split the name of a map into the names of its key kind and value kind; None if it is no such name.

    A published name has its published meaning. May be called from any thread.
    """
    if name in PUBLISHED_MAPS:
        return PUBLISHED_MAPS[name]
    tokens = _tokens(name[3:]) if name.startswith("Map") else None
    if tokens is None or len(tokens) < 2:
        return None
    *keys, value = tokens
    if value not in _VALUE_TOKENS or any(token not in _KEY_TOKENS for token in keys):
        return None
    return "".join(keys), _VALUE_TOKENS[value]


def key_codec(name: str) -> KeyCodec[Any]:
    """Return the codec of a key kind, one and the same object for one name.

    A published kind has its published layout (or the upgraded one, see `Layout`); any other name is
    composed of single kinds. May be called from any thread. Raises `TableDeclaration` on an unknown name.
    """
    check_kind_name("key", name)
    return _key_codec(name)


@cache
def _key_codec(name: str) -> KeyCodec[Any]:
    if name in SINGLE_KEYS:
        return SINGLE_KEYS[name]
    tokens = _tokens(name) or []
    if not tokens or any(token not in _KEY_TOKENS for token in tokens):
        raise unknown_kind("key", name, [*_KEY_TOKENS, *(key for key, _ in PUBLISHED_MAPS.values())])
    codecs = [codec for token in tokens for codec in _KEY_TOKENS[token]]
    return published_key_codec(name, codecs) if is_published_key(name) else compose(*codecs)


def check_kind_name(what: str, name: object) -> None:
    """Raise `TableDeclaration` for what cannot be the name of a kind."""
    if not isinstance(name, str):
        raise TableDeclaration(f"not the name of a {what} kind", got=name, expected="a str such as 'Uuid'")


def unknown_kind(what: str, name: str, known: list[str]) -> TableDeclaration:
    """Return the error for a kind that does not exist, with the names that are near it."""
    import difflib

    near = difflib.get_close_matches(name, sorted(set(known)), n=3)
    return TableDeclaration(
        f"there is no {what} kind of this name",
        got=name,
        expected=f"one of {', '.join(sorted(set(known)))}",
        next_step=f"did you mean {' or '.join(near)}?" if near else None,
    )
