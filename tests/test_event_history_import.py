# SPDX-License-Identifier: MIT
"""The publications and events of older programs are imported once, in the order of their times, in slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zlmdb
from zlmdb import errors
from zlmdb_eventhistory import Event, EventHistory, Imported, OldHistory, Subscription
from zlmdb_eventhistory._importing import OldEvent, OldEvents, OldPublication, OldPublications

# FORMAT.md sections 6.5 and 6.6: records as the existing writer makes them
PUBLICATION = bytes.fromhex(
    "180000000000000010002c002000180010000c000800040010000000340000003c00000020000000210000000000000016000000"
    "0000000015cd853dfe9c97170000000005000000636f6d2e6100000004000000a1616b0200000000040000008201617800000000"
)
EVENT = bytes.fromhex(
    "14000000000000000c0024001c0014000c0004000c000000210000000000000016000000000000000b0000000000000015cd853dfe9c9717"
)
TIME = 1_700_000_000_123_456_789
ONE = Subscription("com.a")


def old(db: zlmdb.Database, publications: list[OldPublication], events: list[OldEvent]) -> OldHistory:
    tables = db.attach_table(OldPublications), db.attach_table(OldEvents)
    with db.begin(write=True) as txn:
        for publication in publications:
            tables[0][txn, publication.publication] = publication
        for event in events:
            tables[1][txn, (event.subscription, event.timestamp)] = event
    return db.attach(OldHistory)


def steps(db: zlmdb.Database, history: OldHistory, limit: int = 1000) -> Imported:
    for _ in range(1000):
        with db.begin(write=True) as txn:
            state = history.step(txn, limit)
        if state.done:
            return state
    raise AssertionError("it never ends")


def stored(db: zlmdb.Database, history: OldHistory) -> list[Event]:
    with db.begin() as txn:
        return list(history.history.select(txn))


def test_the_records_of_existing_files_are_understood(db: zlmdb.Database) -> None:
    history = old(db, [], [])
    with db.begin(write=True) as txn:
        txn.put(history.publications.raw_key(22), PUBLICATION)
        txn.put(history.events.raw_key((11, TIME)), EVENT)
    history.subscriptions = {11: ONE}
    assert steps(db, history) == Imported(stage="done", publications=1, dispatches=1, behind=(11, TIME))
    (event,) = stored(db, history)
    assert event == Event(
        publication=22,
        topic="com.a",
        time_ns=TIME,
        sequence=1,
        clock_ns=TIME,
        publisher=33,
        args=[1, "x"],
        kwargs={"k": 2},
    )
    with db.begin() as txn:
        (sent,) = history.history.dispatches(txn, 22)
    assert (sent.subscription, sent.receivers, sent.time_ns) == (ONE, [33], TIME)


def test_every_field_that_has_a_meaning_is_kept(db: zlmdb.Database) -> None:
    full: dict[str, Any] = {
        "acknowledge": True,
        "retain": True,
        "exclude_me": True,
        "exclude": [1, 2**53],
        "exclude_authid": ["joe"],
        "exclude_authrole": ["user"],
        "eligible": [3],
        "eligible_authid": ["ann"],
        "eligible_authrole": ["admin"],
        "payload": bytes(range(256)),
    }
    coded = {"enc_algo": 1, "enc_serializer": 3, "enc_key": b"key"}
    history = old(
        db,
        [
            OldPublication(timestamp=2, publication=9, topic="com.a", **full, **coded),
            OldPublication(timestamp=3, publication=8, topic="com.a", enc_algo=200, enc_key=b"\xff"),
        ],
        [],
    )
    assert steps(db, history).publications == 2
    first, second = stored(db, history)
    texts: dict[str, Any] = {"enc_algo": "cryptobox", "enc_serializer": "cbor", "enc_key": "key"}
    assert first == Event(publication=9, topic="com.a", time_ns=2, sequence=1, clock_ns=2, **full, **texts)
    assert second == Event(publication=8, topic="com.a", time_ns=3, sequence=2, clock_ns=3, enc_key=b"\xff")


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_events_come_in_the_order_of_their_times_and_everything_is_counted(db: zlmdb.Database, limit: int) -> None:
    publications = [OldPublication(timestamp=n * 7 % 10, publication=n, topic="com.a") for n in range(1, 11)]
    events = [OldEvent(timestamp=n, subscription=11 + n % 2, publication=n, receiver=5) for n in range(1, 13)]
    unfit = [OldPublication(timestamp=1, publication=20), OldPublication(timestamp=1, publication=21, topic="x" * 2000)]
    history = old(db, publications + unfit, events)
    with db.begin(write=True) as txn:
        txn.put(history.publications.raw_key(30), b"damaged")
        txn.put(history.events.raw_key((40, 1)), b"damaged")
        history.history.append(txn, Event(publication=1, topic="com.mine", time_ns=5))
    history.subscriptions = {11: ONE}
    state = steps(db, history, limit)
    assert (state.publications, state.present, state.refused, state.damaged) == (9, 1, 2, 2)
    assert (state.dispatches, state.unmapped) == (5, 7)  # odd ones, and one whose publication is not there
    found = [event.publication for event in stored(db, history)]
    assert found == [1, *sorted(range(2, 11), key=lambda n: (n * 7 % 10, n))]
    assert db.check(history.history).ok
    with db.begin(write=True) as txn:
        assert history.order.count(txn) == 0
        assert history.publications.count(txn) == 13
        assert history.step(txn, limit) == state


def test_an_import_goes_on_where_it_was_left(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        events = [OldEvent(timestamp=n, subscription=11, publication=n, receiver=5) for n in range(1, 21)]
        old(db, [OldPublication(timestamp=n, publication=n, topic="com.a") for n in range(1, 21)], events)
    for _ in range(100):
        with zlmdb.Database(tmp_path / "db") as db:
            history = db.attach(OldHistory)
            history.subscriptions = {11: ONE}
            with db.begin(write=True) as txn:
                history.step(txn, 7)
            with pytest.raises(ZeroDivisionError), db.begin(write=True) as txn:
                history.step(txn, 7)
                raise ZeroDivisionError
            with db.begin() as txn:
                if history.progress(txn).done:
                    break
    with zlmdb.Database(tmp_path / "db") as db:
        history = db.attach(OldHistory)
        assert [event.publication for event in stored(db, history)] == list(range(1, 21))
        with db.begin() as txn:
            assert history.progress(txn) == Imported(stage="done", publications=20, dispatches=20, behind=(11, 20))
            found = history.history.page(txn, subscription=ONE)
            assert len(found.events) == 20


def test_wrong_arguments_of_an_import_are_refused(db: zlmdb.Database) -> None:
    history = old(db, [], [])
    with db.begin(write=True) as txn:
        with pytest.raises(errors.ConfigError):
            history.step(txn, 0)
        history.subscriptions = {11: "com.a"}  # type: ignore[dict-item]
        with pytest.raises(errors.ConfigError):
            history.step(txn)
        assert history.progress(txn) == Imported()
    with db.begin() as txn:
        assert not EventHistory.attach(db).page(txn).events
