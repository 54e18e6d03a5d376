# SPDX-License-Identifier: MIT
"""The realm store when the buffer is full, or the file: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

import zlmdb
from tests.reactor_bench import busy, error_of, run
from tests.realm_bench import (
    RouterSession,
    SubscriptionMap,
    database,
    details,
    logged,
    make,
    message,
    pause,
    publications,
    run_with_store,
    stored_events,
)
from zlmdb import errors
from zlmdb_eventhistory import Event
from zlmdb_realmstore import RealmStore


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., None]:
    return partial(run_with_store, tmp_path / "db")


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[Event]]:
    return partial(stored_events, tmp_path / "db")


# --- the bound of the buffer


def test_overflow_error_refuses(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            first = store.publish("com.a", publication=1)  # the buffer is full, so it is being written
            second = store.publish("com.a", publication=2)
            refused = await error_of(store.publish("com.a", publication=3))
            assert isinstance(refused, errors.Backpressure)
            assert (refused.pending, refused.limit) == (1, 1)
            with pytest.raises(errors.Backpressure):
                store.store_event(RouterSession(7), 4, message("com.a"))
        await gatherResults([first, second])
        await store.flushed()
        assert store.stats().refused == 2
        await store.publish("com.a", publication=5)

    using(test, overflow="error", **{"max-buffer": 1})
    assert publications(stored()) == [1, 2, 5]


def test_overflow_wait_keeps_the_publisher_waiting(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            fired = [store.publish("com.a", publication=n) for n in range(1, 7)]
            assert [deferred.called for deferred in fired] == [True] * 4 + [False] * 2
            assert store.stats().waiting == 2
            fired[5].cancel()
            await error_of(fired.pop())
        await gatherResults(fired)
        assert store.stats().waiting == 0

    using(test, overflow="wait", **{"max-buffer": 2})
    assert publications(stored()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("durability", ["queued", "commit"])
def test_overflow_drop_oldest_counts_and_tells_what_it_drops(using: Any, stored: Any, durability: str) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)), logged() as lines:
            store.store_session_joined(RouterSession(7), details(7))
            fired = [store.publish("com.a", publication=n) for n in range(1, 7)]
            dropped = [fired.pop(at) for at in (3, 2, 1)]
            if durability == "commit":
                assert [type(await error_of(deferred)) for deferred in dropped] == [errors.Backpressure] * 3
        await gatherResults(fired)
        assert store.stats().dropped == 3
        assert len([line for line in lines if "dropped to make room" in line]) == 1
        await store.flushed()
        assert store.get_session_by_session_id(7) is not None

    using(test, overflow="drop-oldest", durability=durability, **{"max-buffer": 2})
    assert publications(stored()) == [1, 5, 6]


BYTES = {"max-buffer-bytes": 65_536}
LARGE = b"x" * 40_000  # two of them are more than that


def large(store: RealmStore, *numbers: int) -> list[Deferred[Any]]:
    return [store.publish("com.a", payload=LARGE, publication=number) for number in numbers]


def test_the_buffer_is_full_of_bytes_as_of_records(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            fired = large(store, 1, 2, 3)  # the first two are being written
            assert not store.is_full
            assert 40_000 < store.stats().pending_bytes < 41_000
            fired += large(store, 4)
            assert store.is_full
            refused = await error_of(store.publish("com.a", publication=5))
            assert isinstance(refused, errors.Backpressure)
            assert (refused.pending, refused.limit) == (store.stats().pending_bytes, 65_536)
            assert "max-buffer-bytes" in str(refused)
        await gatherResults(fired)
        await store.flushed()
        assert (store.stats().pending_bytes, store.stats().flushes) == (0, 2)

    using(test, overflow="error", **BYTES)
    assert publications(stored()) == [1, 2, 3, 4]


def test_publishers_wait_for_room_for_bytes_and_routers_go_beyond_it_once_more(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            fired = large(store, 1, 2, 3, 4, 5)
            assert [deferred.called for deferred in fired] == [True] * 4 + [False]
            for number in (6, 7):
                store.store_event(RouterSession(7), number, message("com.a", payload=LARGE))
            with pytest.raises(errors.Backpressure):
                store.store_event(RouterSession(7), 8, message("com.a", payload=LARGE))
            with pytest.raises(errors.Backpressure):
                store.store_session_joined(RouterSession(7), details(7))
        await gatherResults(fired)

    using(test, overflow="wait", **BYTES)
    assert sorted(publications(stored())) == [1, 2, 3, 4, 5, 6, 7]


def test_as_many_of_the_oldest_are_dropped_as_make_room_for_bytes(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            large(store, 1, 2)  # are being written
            for number in range(3, 8):
                store.publish("com.a", payload=b"x" * 100, publication=number)
            large(store, 8, 9, 10)
        await store.flushed()
        assert store.stats().dropped == 6

    using(test, overflow="drop-oldest", **BYTES)
    assert publications(stored()) == [1, 2, 9, 10]


# --- a file that takes nothing


def fill(store: RealmStore) -> Deferred[Any]:
    """Publish more than the file has room for, and have it written."""
    fired = [store.publish("com.big", payload=b"x" * 50_000) for _ in range(8)]
    for deferred in fired:
        deferred.addErrback(lambda failure: failure.trap(errors.MapFull))
    return store.flushed().addErrback(lambda failure: failure.value)


SMALL = {"maxsize": 262_144}


def test_a_full_file_fails_what_waits_for_its_commit(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        fired = [store.publish("com.big", payload=b"x" * 100_000, publication=n) for n in range(1, 5)]
        for deferred in fired:
            assert isinstance(await error_of(deferred), errors.MapFull)
        assert store.stats().failed == 4
        await store.publish("com.small", publication=9)

    using(test, durability="commit", **SMALL)
    assert publications(stored()) == [9]


def test_a_full_file_stops_the_intake_and_loses_nothing_acknowledged(using: Any, stored: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        subscriptions = SubscriptionMap()
        store.attach_subscription_map(subscriptions)
        for n in range(1, 5):
            await store.publish("com.big", payload=b"x" * 100_000, publication=n)
        with logged() as lines:
            assert isinstance(await error_of(store.flushed()), errors.MapFull)
            assert isinstance(await error_of(store.publish("com.small")), errors.MapFull)
            with pytest.raises(errors.MapFull):
                store.store_event(RouterSession(7), 9, message("com.small"))
        assert any("4 records were not written" in line for line in lines)
        assert any("records are refused" in line for line in lines)
        assert (store.stats().buffered, store.stats().refused) == (4, 2)
        assert [each["publication"] for each in store.get_events(101) or []] == [4, 3, 2, 1]
        with zlmdb.Database(tmp_path / "db", maxsize=1 << 24, sync=False):  # the largest ceiling wins
            await store.flushed()
        assert store.stats().buffered == 0
        await store.publish("com.small", publication=10)

    using(test, **SMALL, **{"event-history": [{"uri": "com.", "match": "prefix"}]})
    assert publications(stored()) == [1, 2, 3, 4, 10]


def test_what_a_router_was_told_is_kept_though_others_wait_for_commits(using: Any, stored: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            store.store_event(RouterSession(7), 1, message("com.a"))
            store.store_session_joined(RouterSession(7), details(7))
            failing = [store.publish("com.big", payload=b"x" * 100_000, publication=n) for n in range(2, 6)]
            await pause(store)
        assert all([isinstance(await error_of(deferred), errors.MapFull) for deferred in failing])
        await store.flushed()
        assert (store.stats().written, store.stats().failed, store.stats().buffered) == (2, 4, 0)
        assert store.get_session_by_session_id(7) is not None
        assert (await store.publish("com.a", publication=9)).publication == 9

    using(test, durability="commit", **SMALL)
    assert publications(stored()) == [1, 9]


def test_a_retry_comes_by_itself(using: Any, stored: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        for n in range(1, 5):
            await store.publish("com.big", payload=b"x" * 100_000, publication=n)
        assert isinstance(await error_of(store.flushed()), errors.MapFull)
        with zlmdb.Database(tmp_path / "db", maxsize=1 << 24, sync=False):
            while store.stats().buffered:
                await pause(store)

    using(test, **SMALL, **{"buffer-flush": 1})
    assert publications(stored()) == [1, 2, 3, 4]


def test_a_stop_writes_what_there_is_room_for_and_says_how_much_is_lost(tmp_path: Path, stored: Any) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **SMALL)
        await store.start()
        for n in range(1, 5):
            await store.publish("com.big", payload=b"x" * 100_000, publication=n)
        first, second = store.stop(), store.stop()
        error = await error_of(first)
        assert isinstance(error, errors.NotWritten)
        assert error.count == 2  # type: ignore[attr-defined]
        assert isinstance(error.__cause__, errors.MapFull)
        assert isinstance(await error_of(second), errors.NotWritten)
        assert not database(store).database.is_open

    run(main)
    assert publications(stored()) == [1, 2]


def test_an_event_that_could_never_have_room_is_refused_and_stops_no_other(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        for refused in (b"x" * 200_000, b"x" * 10_000_000):
            assert isinstance(await error_of(store.publish("com.big", payload=refused)), errors.WrongValue)
            with pytest.raises(errors.WrongValue, match="too large"):
                store.store_event(RouterSession(7), 9, message("com.big", payload=refused))
        await store.publish("com.a", publication=1)

    using(test, **SMALL)
    assert publications(stored()) == [1]


def test_a_batch_that_is_too_large_for_what_is_left_is_written_in_parts(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        for number in range(1, 41):
            await store.publish("com.a", payload=b"x" * 6_000, publication=number)
        error = await error_of(store.flushed())
        assert isinstance(error, errors.MapFull)
        while store.stats().written < 5:
            await pause(store)
        assert store.stats().buffered + store.stats().written == 40
        await error_of(store.stop())

    with contextlib.suppress(errors.NotWritten):
        using(test, **SMALL)
    assert publications(stored()) == list(range(1, len(stored()) + 1))
    assert len(stored()) >= 5
