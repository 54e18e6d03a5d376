# SPDX-License-Identifier: MIT
"""What is managed. A field that ends in a comment with an arrow is a foreign key; see `schema.FOREIGN_KEYS`."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass
class Entity:
    """A record with an identity, under which its table holds it."""

    oid: UUID


# --- users


@dataclass
class User(Entity):
    email: str
    name: str


@dataclass
class Credential(Entity):
    user: UUID  # -> users
    public_key: bytes


@dataclass
class Activation(Entity):
    user: UUID  # -> users
    code: str
    expires: int  # ns since 1970


# --- organisations


@dataclass
class Organisation(Entity):
    name: str


@dataclass
class Membership(Entity):
    organisation: UUID  # -> organisations
    user: UUID  # -> users
    role: str


# --- nodes


@dataclass
class Node(Entity):
    organisation: UUID  # -> organisations
    name: str
    public_key: bytes


@dataclass
class Worker(Entity):
    node: UUID  # -> nodes
    kind: str


@dataclass
class Heartbeat:
    load: int  # percent
    memory: int  # bytes


# --- routing


@dataclass
class Realm(Entity):
    organisation: UUID  # -> organisations
    name: str


@dataclass
class RealmRole(Entity):
    realm: UUID  # -> realms
    name: str


@dataclass
class Permission(Entity):
    role: UUID  # -> realm_roles
    uri: str
    match: str
    allow: list[str]


# --- applications


@dataclass
class Application(Entity):
    organisation: UUID  # -> organisations
    name: str


@dataclass
class Release(Entity):
    application: UUID  # -> applications
    version: str


@dataclass
class Deployment(Entity):
    release: UUID  # -> releases
    node: UUID  # -> nodes


# --- licences and metering


@dataclass
class Licence(Entity):
    organisation: UUID  # -> organisations
    nodes: int


# --- audit


@dataclass
class AuditEntry:
    actor: str
    action: str
    table: str
