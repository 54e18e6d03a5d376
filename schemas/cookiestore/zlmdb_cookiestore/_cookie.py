# SPDX-License-Identifier: MIT
"""The record of a cookie: ``cookie.fbs`` as a class (FORMAT.md section 6.3)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from zlmdb.codecs.flatbuffers import CBOR_MAP, STRING, TIMESTAMP, U64, UUID_BYTES, FlatRecord, flat


class Cookie(FlatRecord):
    """A cookie, and whom it authenticates.

    Times are in nanoseconds since 1970 UTC. What is not set reads as None, but the integers as 0.
    The value is a secret that logs in whoever sends it, so ``repr`` leaves it out.
    """

    oid: UUID | None = flat(UUID_BYTES)
    """The key of the record."""
    created: int | None = flat(TIMESTAMP)
    max_age: int = flat(U64)
    """Lifetime from ``created`` on, in seconds."""
    name: str | None = flat(STRING)
    value: str | None = flat(STRING, shown=False)
    authenticated: int | None = flat(TIMESTAMP)
    """When, where and how a client became authenticated with this cookie first."""
    authenticated_on_node: UUID | None = flat(UUID_BYTES)
    authenticated_on_worker: str | None = flat(STRING)
    authenticated_transport_info: dict[str, Any] | None = flat(CBOR_MAP)
    authenticated_session: int = flat(U64)
    authenticated_joined_at: int | None = flat(TIMESTAMP)
    authenticated_authmethod: str | None = flat(STRING)
    authid: str | None = flat(STRING)
    """What a client with this cookie is authenticated as."""
    authrole: str | None = flat(STRING)
    authmethod: str | None = flat(STRING)
    authrealm: str | None = flat(STRING)
    authextra: dict[str, Any] | None = flat(CBOR_MAP)
