# SPDX-License-Identifier: MIT
"""The record of a session: ``session.fbs`` as a class (FORMAT.md section 6.4)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from zlmdb.codecs.flatbuffers import CBOR_MAP, I32, STRING, TIMESTAMP, U64, UUID_BYTES, FlatRecord, flat


class Session(FlatRecord):
    """A WAMP session that joined a realm, and left it or is still there.

    Times are in nanoseconds since 1970 UTC. What is not set reads as None, but the integers as 0:
    a session whose ``left_at`` is None has not left.
    Existing readers fail on a record without ``realm``, so always set it.
    """

    arealm_oid: UUID | None = flat(UUID_BYTES)
    oid: UUID | None = flat(UUID_BYTES)
    """The key of the record."""
    session: int = flat(U64)
    """WAMP session id."""
    joined_at: int | None = flat(TIMESTAMP)
    left_at: int | None = flat(TIMESTAMP)
    node_oid: UUID | None = flat(UUID_BYTES)
    """The router's node and worker process that hold the session."""
    node_authid: str | None = flat(STRING)
    worker_name: str | None = flat(STRING)
    worker_pid: int = flat(I32)
    transport: dict[str, Any] | None = flat(CBOR_MAP)
    """The transport to the client, or to the proxy worker in front of it."""
    proxy_node_oid: UUID | None = flat(UUID_BYTES)
    proxy_node_authid: str | None = flat(STRING)
    proxy_worker_name: str | None = flat(STRING)
    proxy_worker_pid: int = flat(I32)
    proxy_transport: dict[str, Any] | None = flat(CBOR_MAP)
    realm: str | None = flat(STRING)
    authid: str | None = flat(STRING)
    authrole: str | None = flat(STRING)
    authmethod: str | None = flat(STRING)
    authprovider: str | None = flat(STRING)
    authextra: dict[str, Any] | None = flat(CBOR_MAP)
    left_reason: str | None = flat(STRING)
    """The URI that was given when it left, and the text; existing readers pass over both."""
    left_message: str | None = flat(STRING)
