# SPDX-License-Identifier: MIT
"""The stores that cfxdb keeps with the published package, read and written by ours, field by field."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import zlmdb
from tests.compat.conftest import Published
from tests.compat.samples import SEED
from tests.compat.wire import said
from zlmdb.codecs.flatbuffers import (
    BOOL,
    BYTES,
    CBOR_ARRAY,
    CBOR_MAP,
    STRING,
    STRING_VECTOR,
    U8,
    U64,
    U64_VECTOR,
    FlatRecord,
    flat,
)
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._tables import CookieStoreSchema
from zlmdb_realmstore._schema import RealmSchema
from zlmdb_realmstore._session import Session


class Publication(FlatRecord):
    """FORMAT.md section 6.5."""

    timestamp: int = flat(U64)
    publication: int = flat(U64)
    publisher: int = flat(U64)
    topic: str | None = flat(STRING)
    args: list[Any] | None = flat(CBOR_ARRAY)
    kwargs: dict[str, Any] | None = flat(CBOR_MAP)
    payload: bytes | None = flat(BYTES)
    acknowledge: bool = flat(BOOL)
    retain: bool = flat(BOOL)
    exclude_me: bool = flat(BOOL)
    exclude: list[int] | None = flat(U64_VECTOR)
    exclude_authid: list[str] | None = flat(STRING_VECTOR)
    exclude_authrole: list[str] | None = flat(STRING_VECTOR)
    eligible: list[int] | None = flat(U64_VECTOR)
    eligible_authid: list[str] | None = flat(STRING_VECTOR)
    eligible_authrole: list[str] | None = flat(STRING_VECTOR)
    enc_algo: int = flat(U8)
    enc_key: bytes | None = flat(BYTES)
    enc_serializer: int = flat(U8)


class Event(FlatRecord):
    """FORMAT.md section 6.6."""

    timestamp: int = flat(U64)
    subscription: int = flat(U64)
    publication: int = flat(U64)
    receiver: int = flat(U64)
    retained: bool = flat(BOOL)
    acknowledged_delivery: bool = flat(BOOL)


@zlmdb.table("dd04931a-753b-4fde-8140-d66b93519c73")
class Publications(zlmdb.MapOidFlatBuffers[Publication]): ...


@zlmdb.table("40a9df31-6065-496f-809f-027a1879654c")
class Events(zlmdb.MapOidTimestampFlatBuffers[Event]): ...


def time(ns: int) -> np.datetime64:
    return np.datetime64(ns, "ns")


def uuids(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128))


def cookie(random: Random, number: int) -> dict[str, Any]:
    fields = {"oid": uuids(random), "created": time(random.getrandbits(62)), "max_age": 604800, "name": "cbtid"}
    fields["value"] = f"{random.getrandbits(140):x}"
    if number % 2:  # authenticated
        fields |= {"authid": f"joe-ä{number}", "authrole": "user", "authmethod": "wampcra", "authrealm": "realm1"}
        fields |= {"authextra": {"a": [1, None, 2.5], "é": {"b": b"\0"}}}
    if number % 3 == 1:  # every field
        fields |= {"authenticated": time(1), "authenticated_on_node": uuids(random), "authenticated_on_worker": "w1"}
        fields |= {"authenticated_transport_info": {"peer": "tcp4:1.2.3.4:5"}, "authenticated_session": 2**53}
        fields |= {"authenticated_joined_at": time(2**62), "authenticated_authmethod": "scram"}
    return fields


def session(random: Random, number: int) -> dict[str, Any]:
    fields = {"oid": uuids(random), "session": random.getrandbits(53), "joined_at": time(random.getrandbits(62))}
    fields |= {"realm": "realm1"}
    if number % 2:
        fields |= {"arealm_oid": uuids(random), "left_at": time(2**62), "node_oid": uuids(random), "node_authid": "n"}
        fields |= {"worker_name": "w", "worker_pid": 2**31 - 1, "transport": {"x": [1]}, "authid": "é", "authrole": "r"}
        fields |= {"proxy_node_oid": uuids(random), "proxy_node_authid": "p", "proxy_worker_name": "pw"}
        fields |= {"proxy_worker_pid": 7, "proxy_transport": {"y": {}}, "authmethod": "m", "authprovider": "static"}
        fields |= {"authextra": {"a": 1}}
    return fields


def publication(random: Random, number: int) -> dict[str, Any]:
    fields = {"timestamp": random.getrandbits(62), "publication": random.getrandbits(53), "topic": f"com.é.{number}"}
    fields |= {"publisher": 2**53}
    if number % 3 == 0:
        fields |= {"args": [1, "x", None, [2.5]], "kwargs": {"k": 2, "ö": []}, "acknowledge": True, "retain": True}
    if number % 3 == 1:
        fields |= {"payload": bytes(range(256)), "enc_algo": 1, "enc_key": b"\0k", "enc_serializer": 3}
    if number % 3 == 2:
        fields |= {"args": [1], "exclude_me": True, "exclude_authid": ["a", "é"], "exclude_authrole": ["b"]}
        fields |= {"eligible_authid": ["c"], "eligible_authrole": ["d", "e"]}
    return fields


def event(random: Random, number: int) -> dict[str, Any]:
    fields = {"timestamp": random.getrandbits(62), "subscription": number % 4, "publication": random.getrandbits(53)}
    return fields | {"receiver": 2**53 - number, "retained": number % 2 == 0, "acknowledged_delivery": number % 3 == 0}


RANDOM = Random(SEED)
STORES = {
    "cookies": [cookie(RANDOM, number) for number in range(24)],
    "sessions": [session(RANDOM, number) for number in range(24)],
    "publications": [publication(RANDOM, number) for number in range(24)],
    "events": [event(RANDOM, number) for number in range(24)],
}


def counted(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with times as our records have them."""
    times = {name: int(value.astype("int64")) for name, value in fields.items() if isinstance(value, np.datetime64)}
    return {**fields, **times}


def held(record: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in fields}


@pytest.fixture
def path(published: Published, tmp_path: Path, lib_version: str) -> Path:
    """A database that cfxdb has filled."""
    options = {"lib_version": lib_version}
    published(tmp_path / "db", action="write", stores=STORES, options=options)
    return tmp_path / "db"


def test_cookies_of_existing_files_are_read_and_indexed(path: Path) -> None:
    with zlmdb.Database(path) as db:
        schema = db.attach(CookieStoreSchema)
        assert (schema.cookies.slot, schema.by_value.slot) == (1, 2)
        with db.begin() as txn:
            for fields in STORES["cookies"]:
                stored = schema.by_this_value(txn, fields["value"])
                assert said(held(stored, fields)) == said(counted(fields))
                assert stored == Cookie(**counted(fields))  # and nothing but these
            assert schema.cookies.count(txn) == schema.by_value.count(txn) == len(STORES["cookies"])
        with db.begin(write=True) as txn:
            schema.rebuild(txn)  # the indexes that existing files do not have
        assert db.check(schema).ok


def test_sessions_of_existing_files_are_read_and_indexed(path: Path) -> None:
    with zlmdb.Database(path) as db:
        schema = db.attach(RealmSchema)
        assert (schema.sessions.slot, schema.idx_sessions_by_session_id.slot) == (3, 4)
        with db.begin() as txn:
            for fields in STORES["sessions"]:
                assert schema.sessions[txn, fields["oid"]] == Session(**counted(fields))
                assert schema.idx_sessions_by_session_id[txn, (fields["session"], fields["joined_at"])] == fields["oid"]
            assert schema.idx_sessions_by_session_id.count(txn) == len(STORES["sessions"])


def test_publications_of_existing_files_are_read(path: Path) -> None:
    with zlmdb.Database(path) as db:
        publications = db.attach_table(Publications)
        with db.begin() as txn:
            found = dict(publications.select(txn))
        assert found == {fields["publication"]: Publication(**fields) for fields in STORES["publications"]}
        assert db.check(publications).ok


def test_events_of_existing_files_are_upgraded_to_the_order_of_time(path: Path) -> None:
    with zlmdb.Database(path) as db:
        events = db.attach_table(Events)
        with db.begin() as txn:
            found = list(events.select(txn))
            assert events.count(txn) == len(STORES["events"])
        expected = {(fields["subscription"], time(fields["timestamp"])): Event(**fields) for fields in STORES["events"]}
        assert found == sorted(expected.items(), key=lambda item: item[0])
        assert db.check(events).ok


def test_what_ours_adds_and_changes_is_read_by_cfxdb(published: Published, path: Path) -> None:
    random = Random(5)
    cookies = [cookie(random, number) for number in range(4)]
    sessions = [session(random, number) for number in range(4)]
    publications = [publication(random, number) for number in range(3)]
    # which cfxdb reads and cannot write
    addressed = {"exclude": [1, 2**53], "eligible": [3], "exclude_authid": ["a"]}
    publications.append({"publication": 7, "topic": "t", **addressed})
    changed = {**STORES["cookies"][0], "value": "changed", "authid": "alice"}
    left = {**STORES["sessions"][0], "left_at": time(5)}
    with zlmdb.Database(path) as db:
        cookie_store, realm, table = db.attach(CookieStoreSchema), db.attach(RealmSchema), db.attach_table(Publications)
        with db.begin(write=True) as txn:
            for fields in [*cookies, changed]:
                cookie_store.cookies[txn, fields["oid"]] = Cookie(**counted(fields))
            for fields in sessions:
                realm.sessions[txn, fields["oid"]] = Session(**counted(fields))
            for fields in publications:
                table[txn, fields["publication"]] = Publication(**fields)
            assert realm.leave(txn, left["oid"], 5)
            del cookie_store.cookies[txn, STORES["cookies"][1]["oid"]]
    stores = {
        "cookies": [*cookies, changed, *STORES["cookies"][2:]],
        "sessions": [*sessions, left, *STORES["sessions"][1:]],
        "publications": [*publications, *STORES["publications"]],
    }
    found = published(path, action="read", stores={**stores, "events": []})
    for name, records in stores.items():
        assert said(found[name]) == said(records)
    assert found["by_value"] == [fields["oid"] for fields in stores["cookies"]]
    assert found["all_cookies"] == sorted(fields["oid"] for fields in stores["cookies"])
    by_session = [((fields["session"], fields["joined_at"]), fields["oid"]) for fields in stores["sessions"]]
    assert said(found["by_session"]) == said(sorted(by_session))


def test_what_cfxdb_adds_to_our_file_is_read_and_the_check_finds_nothing_but_the_indexes_of_ours(
    published: Published, tmp_path: Path, lib_version: str
) -> None:
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version) as db:
        schema, realm = db.attach(CookieStoreSchema), db.attach(RealmSchema)
    published(tmp_path / "db", action="write", stores=STORES)
    with zlmdb.Database(tmp_path / "db") as db:
        schema, realm = db.attach(CookieStoreSchema), db.attach(RealmSchema)
        with db.begin() as txn:
            assert schema.cookies.count(txn) == len(STORES["cookies"])
        foreign = {schema.by_authid.slot, schema.by_expiry.slot, realm.idx_sessions_by_authid.slot}
        report = db.check(schema, realm)
        assert {(problem.kind, problem.slot) for problem in report.problems} == {("missing entry", n) for n in foreign}
        with db.begin(write=True) as txn:
            schema.rebuild(txn)
            assert realm.complete_index(txn)
        assert db.check(schema, realm).ok
