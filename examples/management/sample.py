# SPDX-License-Identifier: MIT
"""A made-up service to begin with: the same seed makes the same one."""

from __future__ import annotations

from random import Random
from uuid import UUID

from examples.management import records
from examples.management.administration import Administration

HOUR = 3_600_000_000_000  # ns


def fill(admin: Administration, start: int, organisations: int = 3, seed: int = 1) -> None:
    """Store organisations with all that belongs to them; ``start`` is a time in ns since 1970."""
    sample = _Sample(admin, start, Random(seed))  # noqa: S311 - it is to be repeatable
    for number in range(organisations):
        sample.organisation(number)


class _Sample:
    def __init__(self, admin: Administration, start: int, random: Random) -> None:
        self._admin = admin
        self._put = admin.put
        self._start = start
        self._random = random

    def _oid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def organisation(self, number: int) -> None:
        name = f"org-{number}"
        organisation = self._put(records.Organisation(self._oid(), name))
        for role in ("owner", "operator", "guest"):
            self._user(organisation, f"{role}@{name}.example", role)
        licence = self._put(records.Licence(self._oid(), organisation, nodes=4))
        nodes = [self._node(organisation, f"{name}-node-{n}") for n in range(self._random.randint(2, 4))]
        self._realm(organisation, f"{name}.realm")
        for kind in ("frontend", "backend"):
            self._application(organisation, kind, nodes)
        for hour in range(24):
            self._admin.meter(licence, self._start + hour * HOUR, self._random.randint(0, 10_000))

    def _user(self, organisation: UUID, email: str, role: str) -> None:
        user = self._put(records.User(self._oid(), email, role.title()))
        self._put(records.Membership(self._oid(), organisation, user, role))
        self._put(records.Credential(self._oid(), user, self._random.randbytes(32)))
        if role == "guest":
            self._put(records.Activation(self._oid(), user, "tell-nobody", self._start + HOUR))

    def _node(self, organisation: UUID, name: str) -> UUID:
        node = self._put(records.Node(self._oid(), organisation, name, self._random.randbytes(32)))
        for kind in ("router", "container"):
            self._put(records.Worker(self._oid(), node, kind))
        self._admin.tables.heartbeats.put_many(
            self._admin.txn,
            [
                ((node, self._start + hour * HOUR), records.Heartbeat(self._random.randint(0, 100), 2**30))
                for hour in range(24)
            ],
        )
        return node

    def _realm(self, organisation: UUID, name: str) -> None:
        realm = self._put(records.Realm(self._oid(), organisation, name))
        for role in ("frontend", "backend"):
            oid = self._put(records.RealmRole(self._oid(), realm, role))
            self._put(records.Permission(self._oid(), oid, f"com.{role}.", "prefix", ["call", "subscribe"]))

    def _application(self, organisation: UUID, name: str, nodes: list[UUID]) -> None:
        application = self._put(records.Application(self._oid(), organisation, name))
        for version in ("1.0", "1.1"):
            release = self._put(records.Release(self._oid(), application, version))
        for node in nodes:
            self._put(records.Deployment(self._oid(), release, node))
