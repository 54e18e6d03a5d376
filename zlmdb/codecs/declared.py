# SPDX-License-Identifier: MIT
"""Classes declared under a UUID, whose instances untyped JSON and CBOR tables take and give back."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zlmdb.errors import DecodeError

if TYPE_CHECKING:
    from .conversion import Conversion

_UUID_TEXT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_uuids: dict[type, str] = {}
_classes: dict[str, type] = {}


def declare_record(cls: type, uuid: UUID | str) -> None:
    """Make ``cls`` known under ``uuid``; of several classes with one UUID the last one is given back.

    May be called from any thread. How instances become plain data is found out at first use, so that
    annotations may name classes that are defined later. Raises `TableDeclaration` then.
    """
    text = str(UUID(str(uuid)))
    _uuids[cls] = text
    _classes[text] = cls


def is_uuid_text(value: Any) -> bool:
    """Tell whether this is a string such as declared classes are stored under."""
    return isinstance(value, str) and _UUID_TEXT.fullmatch(value) is not None


def declared_uuid(cls: type) -> str | None:
    """Return the UUID under which this very class was declared."""
    return _uuids.get(cls)


def declared_class(uuid: str) -> type:
    """Return the class declared under this UUID; raise `DecodeError` if there is none in this program."""
    found = _classes.get(uuid)
    if found is None:
        raise DecodeError(
            f"the stored record is of a class with the UUID {uuid}, which this program has not declared",
            got=uuid,
            expected="the UUID of a declared class",
            next_step=f'import the module that declares it with @table("{uuid}")',
        )
    return found


@cache
def declared_conversion(cls: type, fmt: str) -> Conversion:
    """Return how instances of a declared class become plain data of ``fmt`` and back."""
    from .records import top_conversion  # costs its imports only where records are used

    return top_conversion(cls, fmt)
