# SPDX-License-Identifier: MIT
"""Sessions whose data cannot be read back: they are recorded without it, and in a file they harm no other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from cbor2 import CBORTag

import zlmdb
from tests.cli_samples import run as command
from tests.reactor_bench import run
from tests.realm_bench import RouterSession, details, logged, make, run_with_store
from zlmdb_realmstore import RealmSchema, RealmStore, Session
from zlmdb_realmstore._readable import Unreadable, readable_sessions


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


POISON = {
    "nested too deeply to be read": nested(450),
    "nested too deeply to be written": nested(50_000),
    "no date": CBORTag(0, "x"),
    "no reference": CBORTag(29, 7),
    "in itself": CBORTag(28, [CBORTag(29, 0)]),
    "read and not written again": CBORTag(36, "x"),
    "no data": object(),
    "no text": "\ud800",
}


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., None]:
    return partial(run_with_store, tmp_path / "db")


def sessions(path: Path) -> dict[int, Session]:
    with zlmdb.Database(path, sync=False) as db, db.begin() as txn:
        return {each.session: each for each in db.attach(RealmSchema).sessions.select(txn, return_keys=False)}


def joining(session: int, **fields: Any) -> SimpleNamespace:
    found = details(session)
    found.__dict__.update(fields)
    return found


# --- as they join and leave


@pytest.mark.parametrize("field", ["authextra", "transport"])
@pytest.mark.parametrize("content", POISON.values(), ids=POISON)
def test_a_session_is_stored_without_what_cannot_be_read_back_and_the_store_starts_again(
    using: Any, tmp_path: Path, field: str, content: Any
) -> None:
    hostile, other = RouterSession(7), RouterSession(8)

    async def first(store: RealmStore) -> None:
        with logged() as lines:
            store.store_session_joined(hostile, joining(7, **{field: {"a": content}}))
        assert [line for line in lines if f"session 7 is stored without {field}" in line]
        store.store_session_joined(other, details(8, "ann"))
        assert (store.get_session_by_session_id(7) or {})[field] is None
        await store.flushed()
        assert (store.get_session_by_session_id(7) or {})[field] is None
        store.store_session_left(hostile, SimpleNamespace(reason="wamp.close.normal", message=None))
        await store.flushed()
        assert store.stats().failed == 0

    async def second(store: RealmStore) -> None:
        assert store.get_sessions_by_authid("joe") == [(7, 1000)]
        assert (store.get_session_by_session_id(8) or {})["authextra"] == {"a": 1}

    using(first)
    using(second)
    stored = sessions(tmp_path / "db")
    assert (stored[7].left_at, stored[7].left_reason, stored[7].authid) == (1002, "wamp.close.normal", "joe")
    assert getattr(stored[7], field) is None


@pytest.mark.parametrize("authid", ["\ud800", "x" * 2_000, "\0" * 1_000, 5, b"joe"])
def test_a_session_is_stored_without_an_authid_that_no_index_takes(using: Any, tmp_path: Path, authid: Any) -> None:
    async def test(store: RealmStore) -> None:
        store.store_session_joined(RouterSession(7), details(7, authid))

    using(test)
    stored = sessions(tmp_path / "db")[7]
    assert (stored.authid, stored.authextra, stored.left_reason) == (None, {"a": 1}, "wamp.close.system_shutdown")


def test_a_record_is_what_the_session_had_when_it_joined(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        extra: dict[str, Any] = {"a": [1]}
        store.store_session_joined(RouterSession(7), joining(7, authextra=extra))
        extra["a"].append(CBORTag(0, "x"))

    using(test)
    assert sessions(tmp_path / "db")[7].authextra == {"a": [1]}


def test_a_session_leaves_whatever_it_says_then(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        session = RouterSession(7)
        store.store_session_joined(session, details(7))
        store.store_session_left(session, SimpleNamespace(reason="a\ud800", message="b" * 100_000))

    using(test)
    left = sessions(tmp_path / "db")[7]
    assert (left.left_at, left.left_reason, left.left_message) == (1001, "a?", "b" * 2_000)


def test_a_session_that_the_file_has_no_room_for_is_stored_without_its_documents(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        store.store_session_joined(RouterSession(7), joining(7, authextra={"a": "x" * 1_000_000}))
        await store.flushed()

    using(test, maxsize=262_144)
    stored = sessions(tmp_path / "db")[7]
    assert (stored.authid, stored.authextra, stored.transport) == ("joe", None, None)


# --- in a file


def plant(path: Path, *, authid: str | None = None) -> list[UUID]:
    """Store sessions 1 to 4 in two ways each: as they should be, and with what cannot be read."""
    with zlmdb.Database(path, sync=False) as db:
        schema = db.attach(RealmSchema)
        with db.begin(write=True) as txn:
            for number in range(1, 9):
                extra = {"a": CBORTag(0, "x")} if number % 2 else {"a": 1}
                oid = UUID(int=number << 120)
                schema.sessions[txn, oid] = Session(
                    oid=oid,
                    session=(number + 1) // 2,
                    joined_at=100 - number,  # those that cannot be read joined last
                    realm="realm1",
                    authid=authid or f"a{number}",
                    authextra=extra,
                )
    return [UUID(int=number << 120) for number in range(1, 9, 2)]


def test_sessions_that_cannot_be_read_keep_no_store_from_starting(tmp_path: Path) -> None:
    unreadable = plant(tmp_path / "db")

    async def main(reactor: Any) -> None:
        for _ in range(2):
            store = make(reactor, tmp_path / "db")
            with logged() as lines:
                await store.start()
            told = [line for line in lines if "4 sessions cannot be read" in line]
            assert len(told) == 1
            assert str(unreadable[0]) in told[0]
            assert store.get_sessions_by_authid("a2") == [(1, 98)]
            assert (store.get_session_by_session_id(1) or {})["authid"] == "a2"
            await store.stop()

    run(main)


def test_what_the_index_says_of_them_stays_when_it_is_made_anew(tmp_path: Path) -> None:
    plant(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(RealmSchema)
        with db.begin(write=True) as txn:
            assert schema.complete_index(txn) is False
            del schema.idx_sessions_by_authid[txn, ("a2", 98, 1)]
            schema.idx_sessions_by_authid[txn, ("nobody", 1, 1)] = UUID(int=2 << 120)
        with db.begin(write=True) as txn:
            found: Unreadable = {}
            assert schema.complete_index(txn, found) is True
            assert len(found) == 4
            assert schema.complete_index(txn) is False
            assert schema.sessions_of(txn, "nobody") == []
            assert [schema.sessions_of(txn, f"a{number}") for number in range(1, 5)] == [
                [(1, 99)],
                [(1, 98)],
                [(2, 97)],
                [(2, 96)],
            ]


def test_a_damaged_index_and_damaged_keys_are_no_hindrance(tmp_path: Path) -> None:
    plant(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(RealmSchema)
        with db.begin(write=True) as txn:
            rows, index = schema.sessions, schema.idx_sessions_by_authid
            for raw in (rows.raw_key(UUID(int=5 << 120))[:9], rows.raw_key(UUID(int=255 << 120)) + b"x"):
                txn.put(raw, b"x")
            txn.put(index.raw_key(("a2", 98, 1)), b"x")
        with db.begin(write=True) as txn:
            found: Unreadable = {}
            assert schema.complete_index(txn, found) is True
            assert len(found) == 6
            assert schema.complete_index(txn) is False
            assert schema.sessions_of(txn, "a2") == [(1, 98)]


@pytest.mark.parametrize("damaged", ["key", "value"])
def test_one_damaged_entry_of_an_index_costs_no_other_entry(tmp_path: Path, damaged: str) -> None:
    plant(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(RealmSchema)
        index = schema.idx_sessions_by_authid
        with db.begin(write=True) as txn:
            before = dict(index.select(txn))
            raw = index.raw_key(("a2", 98, 1))
            txn.put(raw + b"x" if damaged == "key" else raw, b"x")
        with db.begin(write=True) as txn:
            assert schema.complete_index(txn) is True
            assert dict(index.select(txn)) == before


def test_a_damaged_entry_of_the_index_by_id_is_passed_over(db: zlmdb.Database) -> None:
    schema = db.attach(RealmSchema)
    with db.begin(write=True) as txn:
        for joined in (1, 2):
            oid = UUID(int=joined)
            schema.sessions[txn, oid] = Session(oid=oid, session=7, joined_at=joined, realm="realm1")
        txn.put(schema.idx_sessions_by_session_id.raw_key((7, 2)), b"x")
        found = schema.latest_session(txn, 7)
        assert found is not None
        assert found.oid == schema.latest_oid(txn, 7) == UUID(int=1)


def test_many_rows_around_damaged_keys_are_each_given_once(db: zlmdb.Database) -> None:
    schema = db.attach(RealmSchema)
    oids = [UUID(int=number << 100) for number in range(1, 3_001)]
    with db.begin(write=True) as txn:
        for number, oid in enumerate(oids, start=1):
            schema.sessions[txn, oid] = Session(oid=oid, session=number, joined_at=number, realm="realm1")
        for oid in oids[::500]:
            txn.put(schema.sessions.raw_key(oid)[:-1], b"")
            txn.put(schema.sessions.raw_key(oid) + b"\0", b"")
        unreadable: Unreadable = {}
        assert [oid for oid, _ in readable_sessions(schema.sessions, txn, unreadable)] == oids
        assert len(unreadable) == 12


def test_authids_that_no_key_holds_and_sessions_that_are_equal_are_no_reason_to_make_it_again(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(RealmSchema)
        with db.begin(write=True) as txn:
            schema.sessions.detach_index("authid")
            schema.sessions.detach_index("idx1")
            for number, authid in enumerate(["joe", "joe", "x" * 5_000], start=1):
                oid = UUID(int=number)
                schema.sessions[txn, oid] = Session(oid=oid, session=1, joined_at=5, realm="realm1", authid=authid)
        schema = db.attach(RealmSchema)
        with db.begin(write=True) as txn:
            assert schema.complete_index(txn) is True
            assert schema.complete_index(txn) is False
            assert schema.sessions_of(txn, "joe") == [(1, 5)]


def test_that_one_left_whose_record_cannot_be_read_fails_alone(using: Any, tmp_path: Path) -> None:
    plant(tmp_path / "db")

    async def test(store: RealmStore) -> None:
        store.store_session_left(RouterSession(1), SimpleNamespace(reason="r", message=None))
        store.store_session_joined(RouterSession(9), details(9))
        with logged() as lines:
            await store.flushed()
        assert [line for line in lines if "a record was refused" in line and "cannot be decoded" in line]
        assert (store.stats().written, store.stats().failed) == (1, 1)

    using(test)
    with zlmdb.Database(tmp_path / "db", sync=False) as db, db.begin() as txn:
        older = db.attach(RealmSchema).sessions[txn, UUID(int=2 << 120)]
        assert older is not None
        assert older.left_at is None


def test_the_command_repairs_what_can_be_and_tells_the_rest(tmp_path: Path) -> None:
    unreadable = plant(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(RealmSchema)
        with db.begin(write=True) as txn:
            del schema.idx_sessions_by_authid[txn, ("a2", 98, 1)]
            schema.idx_sessions_by_authid[txn, ("nobody", 1, 1)] = UUID(int=2 << 120)
    check = ("check", tmp_path / "db", "--schema", "zlmdb_realmstore:RealmSchema")
    told = command(*check, "--repair", code=1).stdout
    assert all(f"{oid}" in told for oid in unreadable)
    assert "1 entries deleted, 1 written" in told
    assert "4 problems" in told
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(RealmSchema)
        with db.begin(write=True) as txn:
            assert schema.sessions_of(txn, "a2") == [(1, 98)]
            schema.sessions.delete_many(txn, unreadable)
    command(*check)
