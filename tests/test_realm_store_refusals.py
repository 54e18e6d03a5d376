# SPDX-License-Identifier: MIT
"""The realm store refuses, before it acknowledges, what its file would refuse or could not give back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cbor2 import CBORTag

import zlmdb
from tests.reactor_bench import error_of, run
from tests.realm_bench import (
    RouterSession,
    database,
    details,
    make,
    message,
    publications,
    run_with_store,
    stored_events,
)
from zlmdb import errors
from zlmdb_realmstore import Publisher, RealmSchema, RealmStore, Session


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., None]:
    return partial(run_with_store, tmp_path / "db")


def nested(levels: int) -> list[Any]:
    return [] if levels == 0 else [nested(levels - 1)]


RECORD = CBORTag(27, ["5f0e1c3a-0b6e-4a25-9a76-1f2d3c4b5a69", {}])
REFUSED: list[tuple[dict[str, Any], type[errors.EncodeError]]] = [
    ({"topic": "com." + "\0" * 1000}, errors.WrongValue),
    ({"topic": "com." + "é" * 1000}, errors.WrongValue),
    ({"topic": "com.\ud800"}, errors.WrongValue),
    ({"topic": b"com.a"}, errors.WrongType),
    ({"publication": True}, errors.WrongType),
    ({"publisher": 2**70}, errors.WrongValue),
    ({"publisher": -1}, errors.WrongValue),
    ({"publisher": Publisher(2**64)}, errors.WrongValue),
    ({"publisher": Publisher("7")}, errors.WrongType),  # type: ignore[arg-type]
    ({"publisher": RouterSession(-1)}, errors.WrongValue),
    ({"publisher": "alice"}, errors.WrongType),
    ({"publisher": True}, errors.WrongType),
    ({"args": [RECORD]}, errors.WrongValue),
    ({"kwargs": {"of": {"some": RECORD}}}, errors.WrongValue),
    ({"args": [CBORTag(0, "yesterday")]}, errors.WrongValue),
    ({"args": nested(500)}, errors.WrongValue),
    ({"args": [object()]}, errors.WrongValue),
    ({"args": ["\ud800"]}, errors.WrongValue),
    ({"args": "abc"}, errors.WrongType),
    ({"args": 5}, errors.WrongType),
    ({"args": {"a": 1}}, errors.WrongType),
    ({"kwargs": [("a", 1)]}, errors.WrongType),
    ({"kwargs": {1: 2}}, errors.WrongType),
    ({"payload": 5}, errors.WrongType),
    ({"payload": "abc"}, errors.WrongType),
    ({"payload": [1, 2]}, errors.WrongType),
]


@pytest.mark.parametrize("durability", ["queued", "commit"])
@pytest.mark.parametrize(("arguments", "kind"), REFUSED)
def test_a_publication_that_cannot_be_stored_is_refused_before_it_is_acknowledged(
    using: Any, tmp_path: Path, durability: str, arguments: dict[str, Any], kind: type[Exception]
) -> None:
    async def test(store: RealmStore) -> None:
        error = await error_of(store.publish(**{"topic": "com.a", **arguments}))
        assert type(error) is kind
        assert isinstance(error, errors.ZlmdbError)
        assert error.expected
        await store.publish("com.a", [1], publication=7)
        await store.flushed()
        assert (store.stats().written, store.stats().failed) == (1, 0)
        assert publications((await store.events()).events) == [7]

    using(test, durability=durability)
    assert publications(stored_events(tmp_path / "db")) == [7]


@pytest.mark.parametrize(
    ("publication", "session", "publish"),
    [
        (1, RouterSession(7), message("com." + "\0" * 1000)),
        (1, RouterSession(7), message("com.\ud800")),
        (0, RouterSession(7), message("com.a")),
        (2**64, RouterSession(7), message("com.a")),
        (1, RouterSession(2**70), message("com.a")),
        (1, RouterSession(7), message("com.a", RECORD)),
        (1, RouterSession(7), message("com.a", nested(500))),
        (1, RouterSession(7), message("com.a", exclude=[CBORTag(0, "yesterday")])),
        (1, RouterSession(7), message("com.a", payload=5)),
        (1, RouterSession(7), SimpleNamespace(topic="com.a", args="abc")),
    ],
)
def test_a_router_is_told_at_once_what_cannot_be_stored(
    using: Any, publication: int, session: RouterSession, publish: Any
) -> None:
    async def test(store: RealmStore) -> None:
        with pytest.raises(errors.EncodeError):
            store.store_event(session, publication, publish)
        store.store_event(RouterSession(7), 5, message("com.a", 5))
        await store.flushed()
        assert publications((await store.events()).events) == [5]
        assert store.stats().failed == 0

    using(test)


@pytest.mark.parametrize(
    "arguments",
    [
        {"topic": "com." + "\0" * 900},
        {"publisher": 2**64 - 1},
        {"publisher": 0},
        {"publisher": RouterSession(None)},
        {"args": (1, 2), "payload": bytearray(b"x")},
        {"args": nested(300)},
    ],
)
def test_what_can_just_be_stored_is(using: Any, tmp_path: Path, arguments: dict[str, Any]) -> None:
    async def test(store: RealmStore) -> None:
        await store.publish(**{"topic": "com.a", "publication": 7, **arguments})
        await store.flushed()

    using(test)
    assert publications(stored_events(tmp_path / "db")) == [7]


def test_before_the_start_a_topic_has_to_fit_into_files_of_every_format(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", lib_version="0.9", sync=False):
        pass

    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db")
        early = store.publish("x" * 499, publication=1)
        assert isinstance(await error_of(store.publish("x" * 500)), errors.WrongValue)
        await store.start()
        await early
        await store.flushed()
        await store.stop()

    run(main)
    assert publications(stored_events(tmp_path / "db")) == [1]


def test_a_session_id_that_no_table_can_hold_is_refused_at_once(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        with pytest.raises(errors.WrongValue):
            store.store_session_joined(RouterSession(2**70), details(2**70))

    using(test)


# --- the index of sessions by authid


def test_the_index_by_authid_is_made_once(using: Any) -> None:
    """Sessions without an authid are not in it, and that is no reason to make it anew."""

    async def join(store: RealmStore) -> None:
        for session_id, authid in ((1, "joe"), (2, None), (3, "ann")):
            store.store_session_joined(RouterSession(session_id), details(session_id, authid))  # type: ignore[arg-type]
        await store.flushed()

    async def again(store: RealmStore) -> None:
        assert await database(store).write(store.schema.complete_index) is False
        assert store.get_sessions_by_authid("joe") == [(1, 1000)]

    using(join)
    using(again)


@pytest.mark.parametrize("authid", ["bob", None])
def test_an_index_by_authid_that_disagrees_is_made_anew(db: zlmdb.Database, authid: str | None) -> None:
    """A program that does not know the index leaves entries behind that belong to nothing."""
    schema = db.attach(RealmSchema)
    with db.begin(write=True) as txn:
        oid = schema.sessions.new_key()
        session = Session(oid=oid, session=1, joined_at=5, realm="realm1", authid="joe")
        schema.sessions[txn, oid] = session
        schema.sessions.detach_index("authid")
        session.authid = authid
        schema.sessions[txn, oid] = session
    schema = db.attach(RealmSchema)
    with db.begin(write=True) as txn:
        assert schema.complete_index(txn) is True
        assert schema.complete_index(txn) is False
        assert schema.sessions_of(txn, "joe") == []
        assert schema.sessions_of(txn, "bob") == ([(1, 5)] if authid else [])
