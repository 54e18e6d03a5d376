# SPDX-License-Identifier: MIT
"""The tables, in slots by area: 1-9 users, 10-19 organisations, and so on; the indexes of an area 100 above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from examples.management import records
from zlmdb import (
    Database,
    Map,
    MapBytes32Uuid,
    MapStringUuid,
    MapTimestampUuidCbor,
    MapUuidCbor,
    MapUuidStringUuid,
    MapUuidTimestampCbor,
    MapUuidTimestampUint64,
    MapUuidUuidSet,
    MapUuidUuidUuid,
    Schema,
)

AREAS: Final = {
    "users": range(1, 10),
    "organisations": range(10, 20),
    "nodes": range(20, 30),
    "routing": range(30, 40),
    "applications": range(40, 50),
    "licences": range(50, 60),
    "audit": range(60, 70),
}
INDEXES: Final = 100
"""What is added to the slots of an area for its indexes."""


def area(slot: int) -> str:
    """Return the area of a slot."""
    name = next(name for name, slots in AREAS.items() if slot % INDEXES in slots)
    return f"{name} indexes" if slot > INDEXES else name


@dataclass(frozen=True)
class ForeignKey:
    """``table.field`` holds the key of a record of ``target``; the index ``table_by_field`` finds the way back.

    With ``cascade`` the records go with the one they refer to; otherwise they keep it from going.
    """

    table: str
    field: str
    target: str
    cascade: bool = True

    @property
    def index(self) -> str:
        """The name of the index."""
        return f"{self.table}_by_{self.field}"


FOREIGN_KEYS: Final = (
    ForeignKey("credentials", "user", "users"),
    ForeignKey("activations", "user", "users"),
    ForeignKey("memberships", "user", "users"),
    ForeignKey("memberships", "organisation", "organisations"),
    ForeignKey("nodes", "organisation", "organisations", cascade=False),
    ForeignKey("realms", "organisation", "organisations", cascade=False),
    ForeignKey("applications", "organisation", "organisations", cascade=False),
    ForeignKey("licences", "organisation", "organisations"),
    ForeignKey("workers", "node", "nodes"),
    ForeignKey("deployments", "node", "nodes"),
    ForeignKey("realm_roles", "realm", "realms"),
    ForeignKey("permissions", "role", "realm_roles"),
    ForeignKey("releases", "application", "applications"),
    ForeignKey("deployments", "release", "releases", cascade=False),
)
SERIES: Final = {"nodes": "heartbeats", "licences": "usage"}
"""Tables whose keys begin with that of a record, and which go with it."""


class Management(Schema):
    def attach(self, db: Database) -> None:
        self.users = MapUuidCbor[records.User](1)
        self.credentials = MapUuidCbor[records.Credential](2)
        self.activations = MapUuidCbor[records.Activation](3)
        self.users_by_email = MapStringUuid(101)
        self.credentials_by_user = MapUuidUuidSet(102)
        self.activations_by_user = MapUuidUuidSet(103)

        self.organisations = MapUuidCbor[records.Organisation](10)
        self.memberships = MapUuidCbor[records.Membership](11)
        self.organisations_by_name = MapStringUuid(110)
        self.memberships_by_organisation = MapUuidUuidSet(111)
        self.memberships_by_user = MapUuidUuidSet(112)
        self.memberships_by_pair = MapUuidUuidUuid(113)

        self.nodes = MapUuidCbor[records.Node](20)
        self.workers = MapUuidCbor[records.Worker](21)
        self.heartbeats = MapUuidTimestampCbor[records.Heartbeat](22)
        self.nodes_by_organisation = MapUuidUuidSet(120)
        self.nodes_by_public_key = MapBytes32Uuid(121)
        self.workers_by_node = MapUuidUuidSet(122)

        self.realms = MapUuidCbor[records.Realm](30)
        self.realm_roles = MapUuidCbor[records.RealmRole](31)
        self.permissions = MapUuidCbor[records.Permission](32)
        self.realms_by_organisation = MapUuidUuidSet(130)
        self.realms_by_name = MapStringUuid(131)
        self.realm_roles_by_realm = MapUuidUuidSet(132)
        self.permissions_by_role = MapUuidUuidSet(133)

        self.applications = MapUuidCbor[records.Application](40)
        self.releases = MapUuidCbor[records.Release](41)
        self.deployments = MapUuidCbor[records.Deployment](42)
        self.applications_by_organisation = MapUuidUuidSet(140)
        self.applications_by_name = MapUuidStringUuid(141)
        self.releases_by_application = MapUuidUuidSet(142)
        self.deployments_by_release = MapUuidUuidSet(143)
        self.deployments_by_node = MapUuidUuidSet(144)

        self.licences = MapUuidCbor[records.Licence](50)
        self.usage = MapUuidTimestampUint64(51)
        self.licences_by_organisation = MapUuidUuidSet(150)

        self.audit_log = MapTimestampUuidCbor[records.AuditEntry](60)
        self._attach_indexes()

    def _attach_indexes(self) -> None:
        def unique(table: Map[Any, Any], index: Map[Any, Any], *fields: str) -> None:
            get: Callable[[Any], Any] = attrgetter(*fields)  # of several fields it gives a tuple
            table.attach_index(" ".join(fields), index, get)

        unique(self.users, self.users_by_email, "email")
        unique(self.organisations, self.organisations_by_name, "name")
        unique(self.memberships, self.memberships_by_pair, "organisation", "user")
        unique(self.nodes, self.nodes_by_public_key, "public_key")
        unique(self.realms, self.realms_by_name, "name")
        unique(self.applications, self.applications_by_name, "organisation", "name")
        maps = vars(self)
        for key in FOREIGN_KEYS:
            maps[key.table].attach_index(key.field, maps[key.index], attrgetter(key.field), unique=False)
