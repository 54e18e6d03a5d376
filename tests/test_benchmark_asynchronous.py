# SPDX-License-Identifier: MIT
"""The asynchronous rows of the benchmarks: the contestants take turns, and one that fails does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import lmdb
import pytest

pytest.importorskip("rich")

from benchmarks import asynchronous, runner
from benchmarks.asynchronous_by_hand import Writer
from benchmarks.asynchronous_calls import Calls, Turns
from benchmarks.data import Data
from benchmarks.installing import PeerFailed
from benchmarks.rows import ASYNCHRONOUS, BY_HAND, Row

pytestmark = pytest.mark.slow

DATA = Data(100, 0)


class Fake(Calls):
    """Answers at once; `broken` names what raises."""

    broken = ""
    closed: list[str]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.puts, self.reads, self.found = [(1, 2)], [1], 2

    async def open(self) -> None:
        self._maybe("open")

    async def close(self) -> None:
        self.closed.append(self.name)
        self._maybe("close")

    async def get(self, key: int) -> int:
        self._maybe("get")
        return 2

    async def put(self, item: Any) -> None:
        self._maybe("put")

    def _maybe(self, what: str) -> None:
        if self.broken == what:
            raise OSError("out of order")


def fake(name: str, broken: str, closed: list[str]) -> type[Calls]:
    return type("Made", (Fake,), {"name": name, "broken": broken, "closed": closed})


def served(directory: Path, makers: list[type[Calls]], *rows: str) -> list[dict[str, Any]]:
    """Return what a process with these contestants answers."""
    answers: list[dict[str, Any]] = []
    lines = iter([*rows, ""])

    async def ask() -> str:
        return f"{next(lines)}\n"

    async def late(contestants: dict[str, Calls]) -> list[dict[str, Any]]:
        return [{"title": name} for name in contestants]

    async def together(waiting: list[Awaitable[Any]]) -> None:
        await asyncio.gather(*waiting)

    async def main() -> None:
        turns = Turns()
        try:
            await turns.prepare(makers, DATA, directory, together)
            await turns.serve(ask, answers.append, late)
        finally:
            await turns.close()

    asyncio.run(main())
    return answers


def test_all_contestants_of_a_loop_have_their_turn(tmp_path: Path) -> None:
    closed: list[str] = []
    answers = served(tmp_path, [fake("raw", "", closed), fake("peer", "", closed)], "async_read", "lateness")
    assert [sorted(answer) for answer in answers] == [["notes"], ["notes", "seconds"], ["lateness", "notes"]]
    assert set(answers[1]["seconds"]) == {"raw", "peer"}
    assert answers[2]["lateness"] == [{"title": "raw"}, {"title": "peer"}]
    assert closed == ["raw", "peer"]


@pytest.mark.parametrize("broken", ["open", "get"])
def test_a_contestant_that_cannot_be_prepared_is_noted_and_the_others_go_on(tmp_path: Path, broken: str) -> None:
    answers = served(tmp_path, [fake("raw", "", []), fake("peer", broken, [])], "async_read", "lateness")
    assert [answer["notes"] for answer in answers] == [["peer: cannot take part: OSError('out of order')"], [], []]
    assert set(answers[1]["seconds"]) == {"raw"}
    assert answers[2]["lateness"] == [{"title": "raw"}]


def test_a_contestant_that_fails_in_a_row_takes_no_further_part(tmp_path: Path) -> None:
    makers = [fake("raw", "", []), fake("peer", "put", [])]
    answers = served(tmp_path, makers, "async_read", "async_write", "async_write_100")
    assert [set(answer["seconds"]) for answer in answers[1:]] == [{"raw", "peer"}, {"raw"}, {"raw"}]
    assert [answer["notes"] for answer in answers[1:]] == [
        [],
        ["peer: failed in async_write: OSError('out of order')"],
        [],
    ]


def test_nothing_goes_on_without_what_all_is_compared_with(tmp_path: Path) -> None:
    closed: list[str] = []
    with pytest.raises(OSError, match="out of order"):
        served(tmp_path, [fake("raw", "put", closed), fake("peer", "close", closed)], "async_write")
    assert closed == ["raw", "peer"], "or its threads would keep the process"


class FakeProcess:
    """Gives its answers one after the other; the text of one that failed is raised."""

    def __init__(self, *answers: dict[str, Any] | str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def answer(self) -> dict[str, Any]:
        found = self.answers.pop(0)
        if isinstance(found, str):
            raise PeerFailed(found)
        return {"notes": [], **found}

    def ask(self, line: str) -> dict[str, Any]:
        self.asked.append(line)
        return self.answer()


def loops(reactor: FakeProcess, aio: FakeProcess) -> asynchronous.Loops:
    return asynchronous.Loops(cast("Any", reactor), cast("Any", aio), [])


def test_both_loops_make_a_round_together() -> None:
    reactor = FakeProcess({"notes": ["a"]}, {"seconds": {"raw": 1.0}}, {"seconds": {"raw": 2.0}})
    aio = FakeProcess({"notes": ["b"]}, {"seconds": {"aiolmdb": 3.0}}, {"seconds": {"aiolmdb": 4.0}})
    both = loops(reactor, aio)
    assert both.measure("async_read", 2) == [{"raw": 1.0, "aiolmdb": 3.0}, {"raw": 2.0, "aiolmdb": 4.0}]
    assert both.notes == ["a", "b"]
    assert reactor.asked == aio.asked == ["async_read"] * 2


def test_without_asyncio_the_reactor_goes_on() -> None:
    reactor = FakeProcess({}, {"seconds": {"raw": 1.0}}, {"seconds": {"raw": 2.0}}, {"lateness": []})
    aio = FakeProcess({}, {"seconds": {"aiolmdb": 3.0}}, "it ended with -11")
    both = loops(reactor, aio)
    assert both.measure("async_read", 2) == [{"raw": 1.0, "aiolmdb": 3.0}, {"raw": 2.0}]
    assert both.lateness() == []
    assert both.notes == ["it ended with -11"]


def test_without_the_reactor_there_is_no_result() -> None:
    with pytest.raises(PeerFailed, match="ended"):
        loops(FakeProcess({}, "it ended with 1"), FakeProcess({}, {"seconds": {}})).measure("async_read", 1)


def test_every_writer_knows_the_rate_of_what_is_written_by_hand() -> None:
    def late(title: str, rate: float) -> dict[str, Any]:
        return {"title": title, "p99": 0.0, "max": 0.0, "events_per_second": rate}

    reactor = FakeProcess({}, {"lateness": [late("idle", 0), late(BY_HAND, 1e5), late("ours: fn", 2e5)]})
    found = loops(reactor, FakeProcess({}, {"lateness": [late("ours, asyncio: fn", 2e5)]})).lateness()
    assert [one.title for one in found] == ["idle", BY_HAND, "ours: fn", "ours, asyncio: fn"]
    assert {(one.by_hand, one.by_hand_p99) for one in found} == {(1e5, 0.0)}


class FakePackage:
    """A package for which ``reason`` keeps it from being installed, or that cannot be imported."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder, self.reason = folder, reason

    def install(self) -> None:
        if self.reason:
            raise PeerFailed(self.reason)
        self.folder.mkdir()
        (self.folder / "aiolmdb.py").write_text("raise ImportError('not on this machine')\n")


@pytest.mark.parametrize("reason", ["there is no such package", ""])
def test_aiolmdb_that_cannot_take_part_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    monkeypatch.setattr(asynchronous, "AIOLMDB", FakePackage(tmp_path / "aiolmdb", reason))
    plan = runner.Plan(records=100, counted=100, rounds=1)
    rows: list[Row] = [ASYNCHRONOUS[0]]
    (result,), _, notes = runner.run_asynchronous(rows, False, plan, tmp_path / "run", lambda title: None)
    assert set(result.rounds[0]) == {"raw", "ours", "by hand", "adbapi", "ours, asyncio", "lmdb.aio"}
    assert [reason or "aiolmdb: cannot take part: ImportError('not on this machine')"] == notes


def test_what_is_written_by_hand_tells_what_becomes_of_each_record(tmp_path: Path) -> None:
    delivered: SimpleQueue[Callable[[], None]] = SimpleQueue()
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20) as env:
        writer = Writer(env, delivered.put)
        outcomes: list[Any] = []
        for key in (b"one", b""):  # LMDB takes no empty key
            writer.put(key, b"value").addBoth(outcomes.append)
            delivered.get(timeout=60)()
        for key in (b"two", b"three"):
            writer.put(key, b"value").addBoth(outcomes.append)
        writer.close()
        while not delivered.empty():
            delivered.get()()
        assert not writer.thread.is_alive()
        assert [getattr(outcome, "type", outcome) for outcome in outcomes] == [None, lmdb.BadValsizeError, None, None]
        with env.begin() as txn:
            assert sorted(txn.cursor().iternext(True, False)) == [b"one", b"three", b"two"]
