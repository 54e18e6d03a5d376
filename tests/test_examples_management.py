# SPDX-License-Identifier: MIT
"""The management example: its slots, its foreign keys, its log, and its program."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest

import zlmdb
from examples.management import records
from examples.management.__main__ import main
from examples.management.administration import Administration, Refused, dangling
from examples.management.sample import HOUR, fill
from examples.management.schema import AREAS, FOREIGN_KEYS, INDEXES, Management, area
from zlmdb.errors import UniqueViolation

ROOT = Path(__file__).parent.parent
START = 1_800_000_000_000_000_000

pytestmark = pytest.mark.usefixtures("no_fixed_slots")


@pytest.fixture
def tables(db: zlmdb.Database) -> Iterator[Management]:
    """Two organisations; whatever is done to them, nothing dangles afterwards and each index is right."""
    tables = db.attach(Management)
    with db.begin(write=True) as txn:
        fill(Administration(txn, tables, "sample", START), START, organisations=2)
    yield tables
    assert db.check(tables).ok
    with db.begin() as txn:
        assert list(dangling(txn, tables)) == []


@contextmanager
def acting(db: zlmdb.Database, tables: Management, now: int = START) -> Iterator[Administration]:
    with db.begin(write=True) as txn:
        yield Administration(txn, tables, "alice", now)


def counts(db: zlmdb.Database, tables: Management) -> dict[str, int]:
    with db.begin() as txn:
        return {name: map_.count(txn) for name, map_ in tables.maps().items()}


def organisation(db: zlmdb.Database, tables: Management, name: str = "org-0") -> UUID:
    with db.begin() as txn:
        return tables.organisations_by_name.bound(txn)[name]


def nodes(db: zlmdb.Database, tables: Management, name: str = "org-0") -> list[UUID]:
    oid = organisation(db, tables, name)
    with db.begin() as txn:
        return list(tables.nodes_by_organisation[txn, oid])


# --- slots


def test_every_table_has_a_slot_of_its_area(db: zlmdb.Database, tables: Management) -> None:
    slots = {map_.slot or 0: name for name, map_ in tables.maps().items()}
    assert len(slots) == len(tables.maps()) == 37
    assert {area(slot).removesuffix(" indexes") for slot in slots} == set(AREAS)
    for slot, name in slots.items():
        table = name.partition("_by_")[0]
        assert area(slot).endswith(" indexes") == (slot > INDEXES) == ("_by_" in name)
        assert area(slot).removesuffix(" indexes") == area(getattr(tables, table).slot)
    assert {entry["slot"] for entry in db.stats(include_slots=True)["slots"]} == set(slots)


def test_every_foreign_key_has_its_index(tables: Management) -> None:
    for key in FOREIGN_KEYS:
        assert getattr(tables, key.table).index(key.field).map is getattr(tables, key.index)


# --- foreign keys


def test_a_record_must_refer_to_what_is_there(db: zlmdb.Database, tables: Management) -> None:
    before = counts(db, tables)
    nobody = uuid4()
    with acting(db, tables) as admin:
        for record in (
            records.Credential(uuid4(), nobody, b""),
            records.Node(uuid4(), nobody, "n", bytes(32)),
            records.Permission(uuid4(), nobody, "", "exact", []),
            records.Deployment(uuid4(), nobody, nodes(db, tables)[0]),
        ):
            with pytest.raises(Refused, match=f"there is no {nobody} in"):
                admin.put(record)
    assert counts(db, tables) == before


def test_a_node_takes_what_belongs_to_it_along(db: zlmdb.Database, tables: Management) -> None:
    before = counts(db, tables)
    node, other = nodes(db, tables)[:2]
    with acting(db, tables) as admin:
        assert admin.remove("nodes", node) == 5  # with its two workers and the two applications on it
    expected = {"nodes": -1, "workers": -2, "deployments": -2, "heartbeats": -24, "nodes_by_public_key": -1}
    after = counts(db, tables)
    assert {name: after[name] - before[name] for name in expected} == expected
    assert after["audit_log"] == before["audit_log"] + 5
    with db.begin() as txn:
        assert tables.heartbeats.count(txn, prefix=(node,)) == 0
        assert tables.heartbeats.count(txn, prefix=(other,)) == 24


def test_what_is_kept_is_kept_whole(db: zlmdb.Database, tables: Management) -> None:
    before = counts(db, tables)
    oid = organisation(db, tables)
    with acting(db, tables) as admin:
        with pytest.raises(Refused, match="kept by 4 nodes"):
            admin.remove("organisations", oid)  # its memberships would be gone by then
        applications = list(tables.applications_by_organisation[admin.txn, oid])
        with pytest.raises(Refused, match="kept by 4 deployments"):
            admin.remove("applications", applications[0])  # its first release would be gone by then
    assert counts(db, tables) == before


def test_an_organisation_goes_when_nothing_keeps_it(db: zlmdb.Database, tables: Management) -> None:
    oid = organisation(db, tables)
    with acting(db, tables) as admin:
        txn = admin.txn
        for table, index in (
            ("nodes", tables.nodes_by_organisation),
            ("applications", tables.applications_by_organisation),
            ("realms", tables.realms_by_organisation),
        ):
            for found in list(index[txn, oid]):
                admin.remove(table, found)
        assert admin.remove("organisations", oid) == 5  # with three memberships and a licence
    after = counts(db, tables)
    one = {"organisations": 1, "memberships": 3, "licences": 1, "usage": 24, "realms": 1, "applications": 2, "users": 6}
    assert {name: after[name] for name in one} == one


def test_what_a_record_refers_to_is_fixed(db: zlmdb.Database, tables: Management) -> None:
    (node, *_), elsewhere = nodes(db, tables), organisation(db, tables, "org-1")
    with acting(db, tables) as admin:
        present = tables.nodes.bound(admin.txn)[node]
        with pytest.raises(Refused, match=r"nodes\.organisation is fixed"):
            admin.put(replace(present, organisation=elsewhere))
        admin.put(replace(present, name="renamed"))
    with db.begin() as txn:
        assert tables.nodes.bound(txn)[node] == replace(present, name="renamed")


# --- rules


def test_there_are_no_more_new_nodes_than_licences(db: zlmdb.Database, tables: Management) -> None:
    oid = organisation(db, tables)
    assert len(nodes(db, tables)) == 4
    with acting(db, tables) as admin:
        with pytest.raises(Refused, match="licences for 4 nodes"):
            admin.put(records.Node(uuid4(), oid, "fifth", b"\x05" * 32))
        admin.put(records.Licence(uuid4(), oid, nodes=1))
        admin.put(records.Node(uuid4(), oid, "fifth", b"\x05" * 32))
        with pytest.raises(Refused, match="licences for 5 nodes"):
            admin.put(records.Node(uuid4(), oid, "sixth", b"\x06" * 32))
    assert len(nodes(db, tables)) == 5


def test_an_application_runs_on_the_nodes_of_its_organisation_only(db: zlmdb.Database, tables: Management) -> None:
    (node, *_) = nodes(db, tables, "org-1")
    oid = organisation(db, tables)
    with acting(db, tables) as admin:
        application = next(iter(tables.applications_by_organisation[admin.txn, oid]))
        release = next(iter(tables.releases_by_application[admin.txn, application]))
        with pytest.raises(Refused, match="different organisations"):
            admin.put(records.Deployment(uuid4(), release, node))


def test_what_is_unique_is_refused_without_a_trace(db: zlmdb.Database, tables: Management) -> None:
    before = counts(db, tables)
    oid = organisation(db, tables)
    with acting(db, tables) as admin:
        user = tables.users_by_email.bound(admin.txn)["owner@org-0.example"]
        for record in (
            records.User(uuid4(), "owner@org-0.example", "another"),
            records.Membership(uuid4(), oid, user, "guest"),
            records.Application(uuid4(), oid, "backend"),
        ):
            with pytest.raises(UniqueViolation):
                admin.put(record)
    assert counts(db, tables) == before


def test_usage_adds_up_by_the_hour(db: zlmdb.Database, tables: Management) -> None:
    oid = organisation(db, tables)
    with acting(db, tables) as admin:
        (licence,) = tables.licences_by_organisation[admin.txn, oid]
        assert [admin.meter(licence, START + 100 * HOUR, calls) for calls in (5, 7)] == [5, 12]
        with pytest.raises(Refused, match="in licences"):
            admin.meter(uuid4(), START, 1)


# --- the log


def test_the_log_is_in_order_and_says_who_did_what(db: zlmdb.Database, tables: Management) -> None:
    (node, *_) = nodes(db, tables)
    with acting(db, tables, now=5) as admin:  # a clock that was set back
        admin.remove("nodes", node)
    with db.begin() as txn:
        log = list(tables.audit_log.select(txn))
    times = [int(at) for (at, _), _ in log]
    assert len(set(times)) == len(times)
    assert {entry.actor for _, entry in log[:-5]} == {"sample"}
    done = [(entry.actor, entry.action, entry.table) for _, entry in log[-5:]]
    assert done[-1] == ("alice", "remove", "nodes")
    assert sorted(table for *_, table in done) == ["deployments", "deployments", "nodes", "workers", "workers"]
    assert log[-1][0][1] == node


def test_what_is_rolled_back_is_not_in_the_log(db: zlmdb.Database, tables: Management) -> None:
    before = counts(db, tables)
    (node, *_) = nodes(db, tables)
    with pytest.raises(KeyError), acting(db, tables) as admin:
        admin.remove("nodes", node)
        raise KeyError("something else went wrong")
    assert counts(db, tables) == before


@pytest.mark.parametrize("seed", range(3))
def test_nothing_dangles_whatever_is_removed(db: zlmdb.Database, tables: Management, seed: int) -> None:
    random = Random(seed)
    targets = sorted({key.target for key in FOREIGN_KEYS} | {"workers", "deployments", "permissions"})
    outcomes = set()
    for _ in range(40):
        table = random.choice(targets)
        with acting(db, tables) as admin:
            keys = list(getattr(tables, table).select(admin.txn, return_values=False))
            if keys:
                try:
                    outcomes.add(admin.remove(table, random.choice(keys)) > 0)
                except Refused:
                    outcomes.add(False)
        with db.begin() as txn:
            assert list(dangling(txn, tables)) == []
    assert outcomes == {True, False}


def test_a_planted_dangling_reference_is_found(db: zlmdb.Database) -> None:
    tables = db.attach(Management)
    with db.begin(write=True) as txn:
        tables.workers[txn, UUID(int=1)] = records.Worker(UUID(int=1), UUID(int=2), "router")
        tables.usage[txn, (UUID(int=3), 0)] = 1
        found = list(dangling(txn, tables))
    assert found == [
        f"workers {UUID(int=1)}: no {UUID(int=2)} in nodes",
        f"usage {UUID(int=3)}: no {UUID(int=3)} in licences",
    ]


# --- the program


def test_the_program_lists_tables_and_removes_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, list[str]]:
        status = main(["--data", str(tmp_path / "data" / "db"), *arguments])
        return status, capsys.readouterr().out.splitlines()

    status, listed = run("tables")
    assert status == 0
    assert len(listed) == 38
    rows = [line.split() for line in listed]
    assert rows[1] == ["users", "1", "users", "MapUuidCbor[User]", "9"]
    assert ["nodes", "indexes", "120", "nodes_by_organisation", "MapUuidUuidSet", "3"] in rows
    removed = next(line.split()[-1] for line in run("log")[1] if " deployments " in line)
    assert run("remove", "deployments", removed)[0] == 0
    first = run("log")[1][0].split()
    assert first[1:] == ["operator", "remove", "deployments", removed]
    assert run("verify") == (0, ["37 tables, 14 foreign keys, 0 problems"])
    assert run("remove", "deployments", removed)[0] == 1


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.management", "--data", str(tmp_path / "db"), "verify"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "37 tables, 14 foreign keys, 0 problems\n"
