# SPDX-License-Identifier: MIT
"""A plugin that raises or hangs at any step of its life: the others run on, and nothing is lost."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

import zlmdb
from tests.plugin_samples import FAULTS, NotesStore, Tables, Unspeakable, hang_on, v1
from tests.plugin_samples import Config as NotesConfig
from zlmdb.errors import ConfigError, DatabaseClosed, PluginError
from zlmdb.plugins import API_VERSION, Context, ManagedStore, Plugin, Registry, State, configure
from zlmdb.testing.loops import run_reactor
from zlmdb.twisted.stores import StoreService

NAMES = ("before", "faulty", "after")
DEADLINE = 60.0


class Impatient:
    """A reactor whose deadlines pass when they are told to."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._deadlines: list[tuple[Any, Callable[[], None]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def callLater(self, seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        call = self._reactor.callLater(seconds, function, *args)
        if seconds == DEADLINE:
            self._deadlines.append((call, partial(function, *args)))
        return call

    def pass_deadlines(self) -> None:
        for call, function in list(self._deadlines):
            if call.active():
                call.cancel()
                function()


def configuration(directory: Path, **faults: object) -> dict[str, object]:
    stores: list[dict[str, object]] = [
        {"type": "tests.plugin_samples:v1", "name": name, "path": str(directory / name)} for name in NAMES
    ]
    stores[1] |= faults
    return {"stores": stores}


def run(directory: Path, test: Callable[..., Coroutine[Any, Any, Any]], **faults: object) -> Any:
    async def main(reactor: Any) -> Any:
        impatient = Impatient(reactor)
        service = StoreService(configuration(directory, **faults), impatient, deadline=DEADLINE)
        return await test(service, impatient)

    return run_reactor(main)


def notes(path: Path) -> dict[int, str]:
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn:
        return dict(db.attach(Tables).notes.select(txn))


async def put_everywhere(service: StoreService) -> None:
    for name, state in service.states().items():
        if state is State.STARTED:
            await service.store(name, NotesStore).put(1, name)


async def turns(reactor: Any, until: Callable[[], bool]) -> None:
    while not until():
        await deferLater(reactor, 0)


RAISING = ["LookupError", "SystemExit", "Odd", "Unspeakable", "GeneratorExit"]


@pytest.mark.parametrize("how", RAISING)
@pytest.mark.parametrize("step", ["attach", "migrate", "start", "drain", "stop"])
def test_what_a_step_raises_concerns_its_own_store_only(tmp_path: Path, step: str, how: str) -> None:
    events: list[Any] = []

    async def test(service: StoreService, reactor: Any) -> None:
        service.startService()
        await service.started
        starts = step in {"drain", "stop"}
        assert service.states()["faulty"] is (State.STARTED if starts else State.FAILED)
        assert [service.states()[name] for name in ("before", "after")] == [State.STARTED] * 2
        await put_everywhere(service)
        await service.stopService()
        reason = service.reasons()["faulty"]
        assert (reason.step, type(reason.__cause__)) == (step, FAULTS[how])
        assert service.states() == {"before": State.STOPPED, "faulty": State.FAILED, "after": State.STOPPED}
        with pytest.raises(DatabaseClosed):  # though its stop has not closed it
            service.store("faulty", NotesStore).db.begin()

    globalLogPublisher.addObserver(events.append)
    try:
        run(tmp_path, test, fails=step, how=how)
    finally:
        globalLogPublisher.removeObserver(events.append)
    (told,) = [event for event in events if "log_failure" in event]
    assert "plugin_samples.py" in told["log_failure"].getTraceback()
    for name in NAMES:
        expected = {1: name} if name != "faulty" or step in {"drain", "stop"} else {}
        assert notes(tmp_path / name) == expected


@pytest.mark.parametrize("how", RAISING)
def test_what_create_raises_is_a_fault_of_the_configuration(tmp_path: Path, how: str) -> None:
    async def test(service: StoreService, reactor: Any) -> None:
        raise AssertionError("it was made")

    with pytest.raises(ConfigError, match=rf"stores\[1\].type: .*configure failed: {how}"):
        run(tmp_path, test, fails="create", how=how)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", RAISING)
def test_what_an_upgrade_raises_concerns_its_own_store_only(tmp_path: Path, how: str) -> None:
    async def first(service: StoreService, reactor: Any) -> None:
        service.startService()
        await service.started
        await put_everywhere(service)
        await service.stopService()

    async def second(service: StoreService, reactor: Any) -> None:
        service.startService()
        await service.started
        assert service.states() == {"before": State.STARTED, "faulty": State.FAILED, "after": State.STARTED}
        assert isinstance(service.reasons()["faulty"].__cause__, FAULTS[how])  # type: ignore[arg-type]
        await service.stopService()

    run(tmp_path, first)
    run(tmp_path, second, type="tests.plugin_samples:v2", fails="upgrade", how=how)
    assert notes(tmp_path / "faulty") == {1: "faulty"}


def test_a_configuration_that_raises_what_has_no_text_is_told_of_as_all_others(tmp_path: Path) -> None:
    for error, line in (
        (
            Unspeakable(),
            r"stores\[0\].type: .*configure failed: Unspeakable: <Unspeakable whose str fails: ValueError>",
        ),
        (SilentConfig("no"), r"stores\[0\]: <SilentConfig whose str fails: ValueError>"),
        (SilentValue("no"), r"stores\[0\]: <SilentValue whose str fails: ValueError>"),
    ):
        Refusing.error = error
        registry = Registry()
        registry.add(Plugin("refusing", API_VERSION, 1, Refusing, Raising))
        with pytest.raises(ConfigError, match=line):
            StoreService({"stores": [{"type": "refusing"}]}, Impatient(None), registry)


class SilentConfig(ConfigError):
    """A finding of the plugin's own that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


class SilentValue(ValueError):
    """An error of Python's that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


@dataclasses.dataclass
class Refusing:
    """A configuration that nothing satisfies."""

    error: ClassVar[Exception]

    def __post_init__(self) -> None:
        raise self.error


@pytest.mark.parametrize("step", ["attach", "start", "drain", "stop"])
def test_a_step_whose_deferred_fails_with_a_generator_exit_concerns_its_own_store_only(
    tmp_path: Path, step: str
) -> None:
    async def test(service: StoreService, reactor: Any) -> None:
        service.startService()
        await service.started
        await service.stopService()
        assert service.states() == {"before": State.STOPPED, "faulty": State.FAILED, "after": State.STOPPED}
        assert isinstance(service.reasons()["faulty"].__cause__, GeneratorExit)

    run(tmp_path, test, fails=step, how="fails later")


@pytest.mark.parametrize("how", ["hang", "hang on"])
@pytest.mark.parametrize("step", ["drain", "stop"])
def test_a_store_that_hangs_while_it_ends_is_given_up_at_the_deadline(tmp_path: Path, step: str, how: str) -> None:
    async def test(service: StoreService, reactor: Any) -> None:
        service.startService()
        await service.started
        await put_everywhere(service)
        faulty = service.store("faulty", NotesStore)
        stopped = service.stopService()
        await turns(reactor, lambda: faulty.calls[-1] == step)
        assert service.states() == {"before": State.STARTED, "faulty": State.DRAINING, "after": State.STOPPED}
        reactor.pass_deadlines()
        await stopped
        assert service.states() == {"before": State.STOPPED, "faulty": State.FAILED, "after": State.STOPPED}
        reason = service.reasons()["faulty"]
        assert (reason.step, type(reason.__cause__)) == (step, TimeoutError)
        assert "not over after 60.0 s" in str(reason)
        assert not faulty.db.database.is_open

    run(tmp_path, test, fails=step, how=how)
    assert [notes(tmp_path / name) for name in NAMES] == [{1: name} for name in NAMES]


@pytest.mark.parametrize("step", ["attach", "migrate", "start"])
def test_a_store_that_hangs_while_it_starts_does_not_keep_the_service_from_its_end(tmp_path: Path, step: str) -> None:
    async def test(service: StoreService, reactor: Any) -> None:
        service.startService()
        await turns(reactor, lambda: service.store("faulty", NotesStore).calls[-1:] == [step])
        reactor.pass_deadlines()  # there are none as long as nobody wants it to end
        assert not service.started.called
        await put_everywhere(service)
        stopped = service.stopService()
        reactor.pass_deadlines()
        await stopped
        await service.started
        assert service.states() == {"before": State.STOPPED, "faulty": State.FAILED, "after": State.STOPPED}
        assert service.reasons()["faulty"].step == step

    run(tmp_path, test, fails=step, how="hang")
    assert notes(tmp_path / "before") == {1: "before"}


def test_without_a_deadline_a_store_is_waited_for(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        service = StoreService(configuration(tmp_path, fails="drain", how="hang"), reactor, deadline=None)
        service.startService()
        await service.started
        waiting: Deferred[None] = Deferred()
        service.store("faulty", NotesStore).drain = lambda: waiting  # type: ignore[method-assign]
        stopped = service.stopService()
        await turns(reactor, lambda: service.states()["faulty"] is State.DRAINING)
        assert not reactor.getDelayedCalls()[1:]  # but for the one of this test's own end
        waiting.callback(None)
        await stopped
        assert service.states()["faulty"] is State.STOPPED

    run_reactor(main)


@pytest.mark.parametrize("deadline", [-1, "5", True, float("nan")])
def test_a_deadline_that_is_no_time_is_refused(tmp_path: Path, deadline: Any) -> None:
    with pytest.raises(ConfigError, match="deadline"):
        StoreService(configuration(tmp_path), object(), deadline=deadline)


# --- what is not the plugin's ----------------------------------------------------------------------------


CONTEXT = Context(open_database=lambda: asyncio.sleep(0), call_later=lambda seconds, function: None)


class Raising:
    """A store whose start raises."""

    def __init__(self, what: BaseException) -> None:
        self.what = what
        self.calls: list[str] = []

    def attach(self) -> None:
        self.calls.append("attach")

    def migrate(self) -> None:
        self.calls.append("migrate")

    def start(self) -> None:
        raise self.what

    def drain(self) -> None:
        self.calls.append("drain")

    def stop(self) -> None:
        self.calls.append("stop")


def raising(what: BaseException) -> tuple[ManagedStore, Raising]:
    store = Raising(what)
    return configure(Plugin("raising", API_VERSION, 1, NotesConfig, lambda *_: store), {"path": ""}, CONTEXT), store


def test_ctrl_c_passes_and_the_store_can_still_be_stopped() -> None:
    managed, store = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        managed.start().send(None)
    with pytest.raises(StopIteration):
        managed.stop().send(None)
    assert store.calls == ["attach", "migrate", "stop"]
    assert managed.state is State.STOPPED


@pytest.mark.parametrize("what", [GeneratorExit(), SystemExit(3), Unspeakable()])
def test_what_would_end_a_generator_or_the_process_is_a_failure_of_the_store(what: BaseException) -> None:
    managed, store = raising(what)
    with pytest.raises(PluginError, match=f"start failed: {type(what).__name__}") as caught:
        managed.start().send(None)
    assert caught.value.__cause__ is what
    assert (managed.state, store.calls) == (State.FAILED, ["attach", "migrate", "stop"])


def test_a_start_that_is_closed_while_a_step_waits_can_still_be_stopped() -> None:
    managed, store = raising(ValueError())
    store.migrate = hang_on  # type: ignore[assignment,method-assign]
    start = managed.start()
    start.send(None)
    start.close()
    with pytest.raises(StopIteration):
        managed.stop().send(None)
    assert store.calls == ["attach", "stop"]
    assert managed.state is State.STOPPED


def test_a_cancellation_that_nobody_asked_for_is_the_plugins_fault() -> None:
    managed, store = raising(asyncio.CancelledError())

    async def main() -> None:
        with pytest.raises(PluginError, match="CancelledError"):
            await managed.start()

    asyncio.run(main())
    assert (managed.state, store.calls[-1]) == (State.FAILED, "stop")
    managed, _ = raising(asyncio.CancelledError())
    with pytest.raises(PluginError, match="CancelledError"):  # nor without a loop of asyncio's
        managed.start().send(None)


def test_interrupting_create_passes() -> None:
    def create(config: NotesConfig, context: Context) -> NotesStore:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        configure(Plugin("p", API_VERSION, 1, NotesConfig, create), {"path": ""}, CONTEXT)


def test_each_state_is_recorded_with_its_time_and_reason() -> None:
    ticks = iter(range(100))
    managed = configure(v1, {"path": ""}, CONTEXT, time_ns=ticks.__next__)
    with pytest.raises(PluginError):
        managed.start().send(None)  # this host has no databases
    first, last = managed.changes
    assert (first.state, first.time_ns, first.reason) == (State.CONFIGURED, 0, None)
    assert (last.state, last.time_ns, last.reason) == (State.FAILED, 1, managed.reason)
