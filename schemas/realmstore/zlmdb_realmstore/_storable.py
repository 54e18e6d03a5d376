# SPDX-License-Identifier: MIT
"""What is taken of sessions, so that their records can be read back whatever clients have put into them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from zlmdb.codecs import is_plain
from zlmdb.errors import WrongValue
from zlmdb_realmstore._session import Session

_DOCUMENTS: Final = ("authextra", "transport")
_TEXTS: Final = ("realm", "authid", "authrole", "authmethod", "authprovider")
_KEY_OVERHEAD: Final = 20  # bytes that the index by authid adds: slot, end of the string, time, session id
_LONGEST_TEXT: Final = 2_000  # characters of what is said at leaving


def storable_session(record: Session, max_key_size: int, ceiling: int | None) -> tuple[Session, int, list[str]]:
    """Return a copy of a record as reading will give it, its bytes, and the names of fields that it had to lose for it.

    These are fields that cannot be written or not be read back, an authid that no key of ``max_key_size`` bytes can
    hold, and documents with which the record has more than half of ``ceiling``, if there is one.
    Raises `WrongValue` if it is too large without them too.
    """
    faulty = [name for name in (*_TEXTS, *_DOCUMENTS) if not _is_storable(name, getattr(record, name))]
    if "authid" not in faulty and not _fits(record.authid, max_key_size):
        faulty.append("authid")
    stored = _without(record, faulty)
    if ceiling is not None and len(bytes(stored)) > ceiling // 2:
        faulty += [name for name in _DOCUMENTS if getattr(stored, name) is not None]
        stored = _without(stored, _DOCUMENTS)
    data = bytes(stored)
    if ceiling is not None and len(data) > ceiling // 2:  # it would be tried again and again
        raise WrongValue("the session is too large", got=stored, expected=f"at most {ceiling // 2} bytes")
    return Session.cast(data), len(data), faulty


def _without(record: Session, names: Iterable[str]) -> Session:
    lost: dict[str, Any] = dict.fromkeys(names)
    return replace(record, **lost)


def storable_text(text: object) -> str | None:
    """Return what is said at leaving as a text that can be stored, None for nothing."""
    return None if text is None else str(text)[:_LONGEST_TEXT].encode(errors="replace").decode()


def _is_storable(name: str, value: Any) -> bool:
    if value is None:
        return True
    try:
        is_plain(value)  # before it is written: that nests too deeply
        # twice, for it is written once more when the session leaves
        Session.cast(bytes(Session.cast(bytes(Session(**{name: value})))))
    except Exception:  # noqa: BLE001 - decoders of tags raise what they like
        return False
    return True


def _fits(authid: str | None, max_key_size: int) -> bool:
    raw = (authid or "").encode()
    return len(raw) + raw.count(0) + _KEY_OVERHEAD <= max_key_size
