# SPDX-License-Identifier: MIT
"""What is done with the tables, so that no record ever refers to one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from examples.management.records import AuditEntry, Deployment, Entity, Node
from examples.management.schema import FOREIGN_KEYS, SERIES, ForeignKey, Management
from zlmdb import Transaction


class Refused(Exception):
    """It would break a rule; nothing of it was written."""


class Administration:
    """What one actor does in one transaction. Each method does all of it, with its record in the log, or nothing.

    ``now`` is the time for the log, in ns since 1970.
    """

    def __init__(self, txn: Transaction, tables: Management, actor: str, now: int) -> None:
        self.txn = txn
        self.tables = tables
        self._maps: dict[str, Any] = vars(tables)  # Any: here tables go by their names
        self._table = {map_.record: name for name, map_ in tables.maps().items() if map_.record}
        self._actor = actor
        # the log's clock never goes back, and no two entries share a time
        last = next(tables.audit_log.select(txn, reverse=True, limit=1, return_values=False), (0, None))
        self._now = max(now, int(last[0]) + 1)

    def put(self, record: Entity) -> UUID:
        """Store a new or changed record and return its key; what it refers to must be there, and stays the same."""
        table = self._table[type(record)]
        former = self._maps[table][self.txn, record.oid]
        for key in FOREIGN_KEYS:
            if key.table == table:
                self._check_reference(key, former, getattr(record, key.field))
        if isinstance(record, Node) and former is None:
            self._check_licence(record)
        if isinstance(record, Deployment):
            self._check_owner(record)
        self._maps[table][self.txn, record.oid] = record
        self._log("put", table, record.oid)
        return record.oid

    def remove(self, table: str, oid: UUID) -> int:
        """Remove a record, and those that go with it, and return how many."""
        if (self.txn, oid) not in self._maps[table]:
            raise Refused(f"there is no {oid} in {table}")
        with self.txn.savepoint():  # it may turn out deep down that something keeps it
            return self._remove(table, oid)

    def _remove(self, table: str, oid: UUID) -> int:
        removed = 1
        for key in FOREIGN_KEYS:
            if key.target == table:
                referring = list(self._maps[key.index][self.txn, oid])
                if referring and not key.cascade:
                    raise Refused(f"{table}: {oid} is kept by {len(referring)} {key.table}")
                removed += sum(self._remove(key.table, other) for other in referring)
        if table in SERIES:
            series = self._maps[SERIES[table]]
            series.delete_many(self.txn, list(series.select(self.txn, prefix=(oid,), return_values=False)))
        del self._maps[table][self.txn, oid]
        self._log("remove", table, oid)
        return removed

    def meter(self, licence: UUID, hour: int, calls: int) -> int:
        """Count calls of an hour (ns since 1970) on a licence, and return how many it has by now."""
        if (self.txn, licence) not in self.tables.licences:
            raise Refused(f"there is no {licence} in licences")
        counted = self.tables.usage.get((self.txn, (licence, hour)), 0) + calls
        self.tables.usage[self.txn, (licence, hour)] = counted
        return counted

    def _log(self, action: str, table: str, oid: UUID) -> None:
        self.tables.audit_log.insert(self.txn, (self._now, oid), AuditEntry(self._actor, action, table))
        self._now += 1

    # --- rules

    def _check_reference(self, key: ForeignKey, former: Entity | None, referred: UUID) -> None:
        if (self.txn, referred) not in self._maps[key.target]:
            raise Refused(f"{key.table}.{key.field}: there is no {referred} in {key.target}")
        if former is not None and getattr(former, key.field) != referred:
            raise Refused(f"{key.table}.{key.field} is fixed: remove the record, and put it anew")

    def _check_licence(self, node: Node) -> None:
        tables, txn = self.tables, self.txn
        licences = [tables.licences[txn, oid] for oid in tables.licences_by_organisation[txn, node.organisation]]
        allowed = sum(licence.nodes for licence in licences if licence)
        if len(tables.nodes_by_organisation[txn, node.organisation]) >= allowed:
            raise Refused(f"the organisation has licences for {allowed} nodes")

    def _check_owner(self, deployment: Deployment) -> None:
        tables, txn = self.tables, self.txn
        release = tables.releases.bound(txn)[deployment.release]
        application = tables.applications.bound(txn)[release.application]
        if tables.nodes.bound(txn)[deployment.node].organisation != application.organisation:
            raise Refused("application and node belong to different organisations")


def dangling(txn: Transaction, tables: Management) -> Iterator[str]:
    """Iterate over the references that lead nowhere, one line each; what `Administration` writes has none."""
    maps = tables.maps()
    for key in FOREIGN_KEYS:
        for oid, record in maps[key.table].select(txn):
            if (txn, getattr(record, key.field)) not in maps[key.target]:
                yield f"{key.table} {oid}: no {getattr(record, key.field)} in {key.target}"
    for table, series in SERIES.items():
        for oid in {oid for oid, _ in maps[series].select(txn, return_values=False)}:
            if (txn, oid) not in maps[table]:
                yield f"{series} {oid}: no {oid} in {table}"
