# SPDX-License-Identifier: MIT
"""A Crossbar node keeps its cookies, sessions and events in our databases, and finds them after a restart."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cfxdb.cookiestore import CookieStoreSchema
from cfxdb.realmstore import RealmStore

import zlmdb
from tests.clients.node import Client, Node, until

PUBLISH = [
    *(["com.example.exact", [number, "ä"], {"number": number}] for number in range(5)),
    *(["com.example.all.x", [[], {"a": None}], {}] for _ in range(3)),
]
SUBSCRIBE = [["com.example.exact", "exact"], ["com.example.all", "prefix"]]


class Ran(NamedTuple):
    """What the node's two lives left behind, and what the clients of each saw."""

    node: Node
    did: dict[str, Any]
    again: Node
    by_cookie: dict[str, Any]
    fresh: dict[str, Any]


def counts(path: Path) -> tuple[int, int]:
    """The publications and events that a database holds, seen from this process."""
    with zlmdb.Database(str(path), readonly=True) as db:
        store = RealmStore.attach(db)
        with db.begin() as txn:
            return store.publications.count(txn), store.events.count(txn)


def cookie_values(path: Path) -> list[str]:
    with zlmdb.Database(str(path), readonly=True) as db:
        store = CookieStoreSchema.attach(db)
        with db.begin() as txn:
            return list(store.idx_cookies_by_value.select(txn, return_values=False))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("node")
    with Node(folder) as node, Client(node.url, subscribe=SUBSCRIBE, publish=PUBLISH) as client:
        # the node's own buffer is written behind the acknowledgements, for receivers that have not left
        until(lambda: counts(node.realm) == (len(PUBLISH), len(PUBLISH)), "events in the file")
    cookie = {"Cookie": f"cbtid={cookie_values(node.cookies)[0]}"}
    with Node(folder) as again:
        lookup = [["wamp.session.get", client.did["session"]]]
        with Client(again.url, headers=cookie, authmethods=["cookie", "anonymous"], call=lookup) as by_cookie:
            pass
        with Client(again.url, subscribe=SUBSCRIBE, publish=PUBLISH[:1]) as fresh:
            until(lambda: counts(node.realm)[1] == len(PUBLISH) + 1, "an event after the restart")
    return Ran(node, client.did, again, by_cookie.did, fresh.did)


def test_what_is_acknowledged_is_received_and_stored(ran: Ran) -> None:
    assert ran.did["received"] == [[args, kwargs] for _, args, kwargs in PUBLISH]
    published = dict(zip(ran.did["published"], PUBLISH, strict=True))
    with zlmdb.Database(str(ran.node.realm), readonly=True) as db:
        store = RealmStore.attach(db)
        with db.begin() as txn:
            for oid, (topic, args, kwargs) in published.items():
                stored = store.publications[txn, oid]
                assert (stored.publication, stored.topic, stored.args) == (oid, topic, args)
                assert (stored.kwargs or {}) == kwargs
                assert stored.acknowledge


def test_events_are_listed_in_the_order_of_subscription_and_time(ran: Ran) -> None:
    with zlmdb.Database(str(ran.node.realm), readonly=True) as db:
        store = RealmStore.attach(db)
        with db.begin() as txn:
            events = list(store.events.select(txn))
    assert [key for key, _ in events] == sorted(key for key, _ in events)
    assert all((event.subscription, event.timestamp) == (key[0], int(key[1].astype(int))) for key, event in events)
    assert {event.publication for _, event in events} == {*ran.did["published"], *ran.fresh["published"]}


def test_each_session_is_stored_and_found_by_its_id(ran: Ran) -> None:
    joined = {ran.did["session"], ran.by_cookie["session"], ran.fresh["session"]}
    with zlmdb.Database(str(ran.node.realm), readonly=True) as db:
        store = RealmStore.attach(db)
        with db.begin() as txn:
            stored = {session.session: (oid, session) for oid, session in store.sessions.select(txn)}
            assert joined <= set(stored)
            assert store.sessions.count(txn) == store.idx_sessions_by_session_id.count(txn)
            for oid, session in stored.values():
                assert store.idx_sessions_by_session_id[txn, (session.session, session.joined_at)] == oid
                assert session.realm == "realm1"
            assert stored[ran.did["session"]][1].authid == ran.did["authid"]


def test_a_session_of_the_former_life_is_found_by_the_node(ran: Ran) -> None:
    (found,) = ran.by_cookie["called"]
    assert (found["session"], found["authid"]) == (ran.did["session"], ran.did["authid"])


def test_a_cookie_of_the_former_life_authenticates(ran: Ran) -> None:
    assert ran.by_cookie["authid"] == ran.did["authid"] != ran.fresh["authid"]
    assert ran.by_cookie["session"] != ran.did["session"]
    with zlmdb.Database(str(ran.node.cookies), readonly=True) as db:
        store = CookieStoreSchema.attach(db)
        with db.begin() as txn:
            cookies = {cookie.authid: cookie for _, cookie in store.cookies.select(txn)}
            assert set(cookies) == {ran.did["authid"], ran.fresh["authid"]}
            for cookie in cookies.values():
                assert (cookie.name, cookie.max_age, cookie.authrealm) == ("cbtid", 86400, "realm1")
                assert store.idx_cookies_by_value[txn, cookie.value] == cookie.oid


def test_the_node_ran_on_this_package_and_had_no_trouble_with_it(ran: Ran) -> None:
    for node in (ran.node, ran.again):
        said = "".join(node.output)
        assert "lmdb_format=1.0" in said
        assert "zlmdb.errors" not in said
        assert "zlmdb.storage.faults" not in said


@pytest.mark.parametrize("path", ["realm", "cookies"])
def test_the_files_pass_a_check_of_records_and_indexes(ran: Ran, path: str) -> None:
    with zlmdb.Database(str(ran.node.folder / path), readonly=True) as db:
        schema = RealmStore.attach(db) if path == "realm" else CookieStoreSchema.attach(db)
        tables = (schema.sessions, schema.publications, schema.events) if path == "realm" else (schema.cookies,)
        assert db.check(*tables).ok
