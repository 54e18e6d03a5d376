# SPDX-License-Identifier: MIT
"""Calls that wait for a callee: bounded, in order, and there again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.reactor_bench import busy, run
from tests.realm_bench import RouterSession, database, logged, make, run_with_store
from zlmdb_realmstore import DepartedCaller, RealmStore

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
