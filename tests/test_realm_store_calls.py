# SPDX-License-Identifier: MIT
"""Calls that wait for a callee: bounded, in order, and there again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cbor2 import CBORTag

import zlmdb
from tests.reactor_bench import busy, run
from tests.realm_bench import RouterSession, database, logged, make, run_with_store
from zlmdb_realmstore import DepartedCaller, RealmSchema, RealmStore

QUEUE = {"call-queue": [{"uri": "com.slow", "limit": 3}, {"uri": "com.all", "match": "prefix"}], "limit": 2}


class Call:
    """What a router hands over as a call."""

    def __init__(self, number: Any, timeout: int | None = None) -> None:
        self.number = number
        self.options = {} if timeout is None else {"timeout": timeout}

    def marshal(self) -> list[Any]:
        return [48, 7, self.options, "com.slow", [self.number]]

    @staticmethod
    def parse(message: list[Any]) -> Call:
        if message[4] == ["unknown"]:
            raise ValueError("a message of tomorrow")
        return Call(message[4][0])


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., None]:
    return partial(run_with_store, tmp_path / "db", **QUEUE)


def registration(uri: str = "com.slow", number: int = 1, match: str = "exact") -> SimpleNamespace:
    return SimpleNamespace(id=number, uri=uri, match=match)


def queue(store: RealmStore, *calls: Call, of: Any = None) -> list[bool]:
    caller = RouterSession(7)
    return [store.maybe_queue_call(caller, call, of or registration(), {"allow": True}) for call in calls]


def waiting(store: RealmStore, of: Any = None) -> list[Any]:
    found = []
    while (call := store.pop_queued_call(of or registration(number=99))) is not None:
        found.append(call.call.number)
    return found


def test_calls_are_queued_for_configured_procedures_up_to_the_limit(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        assert store.get_queued_call(registration()) is None
        assert store.pop_queued_call(registration()) is None
        assert queue(store, *map(Call, range(4))) == [True, True, True, False]
        assert queue(store, *map(Call, range(3)), of=registration("com.all.x")) == [True, True, False]
        assert queue(store, Call(0), of=registration("com.fast")) == [False]
        oldest = store.get_queued_call(registration(number=5))
        assert oldest is not None
        assert (oldest.call.number, oldest.registration.id, oldest.authorization) == (0, 5, {"allow": True})
        assert waiting(store) == [0, 1, 2]
        assert waiting(store, registration("com.all.x")) == [0, 1]

    using(test)


def test_registrations_that_match_differently_have_queues_of_their_own(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        prefix = registration(match="prefix")
        queue(store, Call(1))
        queue(store, Call(2), of=prefix)
        assert waiting(store, prefix) == [2]
        assert waiting(store) == [1]

    using(test)


def test_calls_that_wait_are_there_after_a_restart_in_their_order(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        before = make(reactor, tmp_path / "db", **QUEUE)
        await before.start()
        queue(before, Call(1), Call(2), Call(3))
        assert before.pop_queued_call(registration()) is not None
        await before.stop()
        after = make(reactor, tmp_path / "db", **QUEUE)
        after.parse_call = Call.parse
        await after.start()
        queue(after, Call(4))
        oldest = after.get_queued_call(registration(number=8))
        assert oldest is not None
        assert isinstance(oldest.session, DepartedCaller)
        assert (oldest.session._session_id, oldest.session._authid, oldest.session._authrole) == (7, "joe", "user")
        assert (oldest.session._transport, oldest.registration.id, oldest.authorization) == (None, 8, {"allow": True})
        assert waiting(after) == [2, 3, 4]
        await after.stop()
        at_last = make(reactor, tmp_path / "db", **QUEUE)
        await at_last.start()
        assert at_last.get_queued_call(registration()) is None
        await at_last.stop()

    run(main)


def test_a_call_whose_time_is_over_is_not_restored(tmp_path: Path) -> None:
    second = 1_000_000_000

    async def life(reactor: Any, now: int, test: Callable[[RealmStore], object]) -> None:
        store = make(reactor, tmp_path / "db", time_ns=lambda: now, **QUEUE)
        store.parse_call = Call.parse
        await store.start()
        test(store)
        await store.stop()

    async def main(reactor: Any) -> None:
        await life(reactor, second, lambda store: queue(store, Call(1, 500), Call(2, 5000), Call(3)))
        await life(reactor, 2 * second, lambda store: None)
        found: list[Any] = []
        await life(reactor, second, lambda store: found.extend(waiting(store)))
        assert found == [2, 3]

    run(main)


def test_a_call_that_is_not_understood_keeps_no_other_back(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        before = make(reactor, tmp_path / "db", **QUEUE)
        await before.start()
        queue(before, Call("unknown"), Call(2))
        await before.stop()
        after = make(reactor, tmp_path / "db", **QUEUE)
        after.parse_call = Call.parse
        with logged() as lines:
            await after.start()
        assert any("call 1 stays in the file: a message of tomorrow" in line for line in lines)
        assert waiting(after) == [2]
        await after.stop()

    run(main)


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


class Odd(Call):
    """A call whose plain form is anything."""

    def __init__(self, plain: Any) -> None:
        self.plain = plain

    def marshal(self) -> Any:
        if isinstance(self.plain, Exception):
            raise self.plain
        return self.plain


NO_CALLS: list[Any] = [
    [],
    [48, 1],
    [48, 1, {}],
    [48, 1, None, "p"],
    [48, 1, {"timeout": "x"}, "p"],
    [48, 1, {"timeout": -1}, "p"],
    [48, 1, {"timeout": True}, "p"],
    {},
    {"a": 1},
    "CALL",
    None,
    [48, 1, {}, "p", ["unknown"]],
]
UNREADABLE: list[Any] = [[48, 1, {}, "p", [content]] for content in (CBORTag(0, "x"), nested(450), nested(50_000))]


@pytest.mark.parametrize("plain", [*NO_CALLS, *UNREADABLE, [48, 1, {}, "p", [object()]], ValueError("no")])
def test_a_call_that_could_not_be_restored_is_not_queued(tmp_path: Path, plain: Any) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **QUEUE)
        store.parse_call = Call.parse
        await store.start()
        with logged() as lines:
            assert queue(store, Odd(plain), Call(1)) == [False, True]
        assert len([line for line in lines if "a call is not queued" in line]) == 1
        await store.stop()
        again = make(reactor, tmp_path / "db", **QUEUE)
        again.parse_call = Call.parse
        await again.start()
        assert waiting(again) == [1]
        await again.stop()

    run(main)


def test_a_call_of_a_caller_that_no_table_can_hold_is_not_queued(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        assert not store.maybe_queue_call(RouterSession(2**70), Call(1), registration(), None)
        assert not store.maybe_queue_call(RouterSession(7), Call(1), registration(), CBORTag(0, "x"))
        assert store.get_queued_call(registration()) is None

    using(test)


def test_a_call_that_would_fill_the_file_is_not_queued(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        assert queue(store, Call("x" * 200_000), Call(1)) == [False, True]
        await store.flushed()
        assert waiting(store) == [1]

    using(test, maxsize=262_144)


def test_a_stored_call_is_what_was_queued(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **QUEUE)
        await store.start()
        content = [1]
        queue(store, Call(content))
        content.append(2)
        await store.stop()
        again = make(reactor, tmp_path / "db", **QUEUE)
        again.parse_call = Call.parse
        await again.start()
        assert waiting(again) == [[1]]
        await again.stop()

    run(main)


def test_stored_calls_that_are_none_keep_neither_others_nor_the_store_back(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(RealmSchema)
        record = {"procedure": "com.slow", "match": "exact", "caller": {}, "authorization": None, "time_ns": 1}
        with db.begin(write=True) as txn:
            for number, plain in enumerate([*NO_CALLS, UNREADABLE[0]], start=1):
                schema.calls[txn, number] = {**record, "message": plain}
            schema.calls[txn, 14] = {**record, "message": [48, 1, {}, "p", [5]]}
            for number, wrong in enumerate(({}, [], {**record, "message": [48, 1, {}, "p"], "caller": None}), start=15):
                schema.calls[txn, number] = wrong  # type: ignore[assignment]
            txn.put(schema.calls.raw_key(18) + b"x", b"")
            schema.calls[txn, 19] = {**record, "message": CBORTag(29, 7)}

    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **QUEUE)
        store.parse_call = Call.parse
        with logged() as lines:
            await store.start()
        assert len([line for line in lines if "stays in the file" in line]) == 10
        assert len([line for line in lines if "18 waiting calls were not restored" in line]) == 1
        queue(store, Call(6))  # its key is behind those of all
        await store.flushed()
        assert store.stats().failed == 0
        assert waiting(store) == [5, 6]
        await store.stop()

    run(main)


def test_a_call_that_the_file_does_not_take_is_not_queued(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            stopped = store.stop()
            assert queue(store, Call(1)) == [False]
        await stopped

    using(test)


def test_a_call_without_a_plain_form_waits_in_memory(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **QUEUE)
        await store.start()
        assert store.maybe_queue_call("session", "call", registration(), "authorization")
        assert store.pop_queued_call(registration()) == ("session", "call", registration(), "authorization")
        await store.stop()

    run(main)
