# SPDX-License-Identifier: MIT
"""Who may log in: names and hashed passwords in a table of a zlmdb database."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any, Final

from twisted.internet.threads import deferToThread

import zlmdb
from zlmdb import MapStringCbor, Schema, table
from zlmdb.twisted import AsyncDatabase

SHORTEST: Final = 8
LONGEST: Final = 200
"""Characters in a password."""
_COST: Final = {"n": 2**14, "r": 8, "p": 1}  # 16 MiB and some 50 ms for each try


@table("4d0d62ad-3a6b-4e5c-9a0b-8d1b7c2f9e31")
class Passwords(MapStringCbor):
    """Salts and hashes by name."""


class Users(Schema):
    """The users of the application."""

    passwords: Passwords


def hashed(password: str) -> dict[str, bytes]:
    """Return what is stored of a password."""
    salt = secrets.token_bytes(16)
    return {"salt": salt, "hash": _hash(password, salt)}


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, **_COST)


_NOBODY: Final = {"salt": bytes(16), "hash": bytes(64)}


def _matches(password: str, stored: dict[str, bytes] | None) -> bool:
    record = stored or _NOBODY  # a name that nobody has takes as long as one that somebody has
    return hmac.compare_digest(_hash(password, record["salt"]), record["hash"]) and stored is not None


def add(path: Path, name: str, password: str) -> None:
    """Add a user, or give one another password; blocks."""
    with zlmdb.Database(path) as db:
        users = db.attach(Users)
        with db.begin(write=True) as txn:
            users.passwords[txn, name] = hashed(password)


class Gate:
    """Checks passwords; use it on the reactor's thread."""

    def __init__(self, db: AsyncDatabase, users: Users) -> None:
        self._passwords: Any = db.map(users.passwords)

    async def admits(self, name: str, password: str) -> bool:
        """Tell whether this is the password of ``name``; the hashing is done on another thread."""
        if not name or len(name) > LONGEST or not SHORTEST <= len(password) <= LONGEST:
            return False
        stored = await self._passwords.get(name)
        return bool(await deferToThread(_matches, password, stored))
