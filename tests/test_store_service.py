# SPDX-License-Identifier: MIT
"""The stores of a configuration as Twisted services, from plugins of a real distribution."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService, IServiceCollection, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from zope.interface.verify import verifyObject

import zlmdb
from zlmdb.errors import ConfigError, PluginError, PluginMissing
from zlmdb.plugins import State
from zlmdb.twisted.stores import StoreService

# A store that writes its steps to CALLS, fails where told, and is held up where told until it is let go.
SOURCE = """
import dataclasses
from twisted.internet.defer import Deferred
from zlmdb.plugins import Plugin

CALLS, CONTEXTS, WAITING = [], [], []

@dataclasses.dataclass
class Config:
    label: str
    fails: str = ""
    waits: str = ""

class Store:
    def __init__(self, config, context):
        if config.fails == "create":
            raise KeyError("create")
        self.config = config
        CONTEXTS.append(context)

    async def _step(self, step):
        CALLS.append(f"{self.config.label}.{step}")
        if step == self.config.waits:
            WAITING.append(Deferred())
            await WAITING[-1]
        if step == self.config.fails:
            raise LookupError(step)

    def attach(self): return self._step("attach")
    def migrate(self): return self._step("migrate")
    def start(self): return self._step("start")
    def drain(self): return self._step("drain")
    def stop(self): return self._step("stop")

plugin = Plugin("zt-store", (1, 0), 1, Config, Store)
"""
DRAINER = """
import dataclasses
import zlmdb
from zlmdb.plugins import Plugin

@dataclasses.dataclass
class Config:
    path: str

class Store:
    def __init__(self, config, context):
        self.config, self.context, self.records = config, context, zlmdb.MapOidString(10)

    async def attach(self):
        self.db = await self.context.open_database(self.config.path)

    def migrate(self): pass
    def start(self): pass

    async def drain(self):
        for number in (1, 2, 3):
            await self.db.write(lambda txn: self.records.__setitem__((txn, number), str(number)))

    async def stop(self):
        await self.db.close()

plugin = Plugin("zt-drainer", (1, 0), 1, Config, Store)
"""
BROKEN = "raise RuntimeError('out of order')"
MODULE = "zt_service_stores"


def write_distribution(site: Path) -> None:
    info = site / "zt_service_stores-0.1.dist-info"
    info.mkdir(parents=True)
    (site / f"{MODULE}.py").write_text(SOURCE)
    (site / "zt_service_broken.py").write_text(BROKEN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zt-service-stores\nVersion: 0.1\n")
    points = f"[zlmdb.plugins]\nzt-store = {MODULE}:plugin\nzt-broken = zt_service_broken:plugin\n"
    (info / "entry_points.txt").write_text(points)
    (info / "RECORD").write_text(f"{MODULE}.py,,\nzt_service_broken.py,,\n{info.name}/METADATA,,\n")


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    write_distribution(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    for module in (MODULE, "zt_service_broken"):
        sys.modules.pop(module, None)


class Reactor(Clock):
    """A clock with the part of a reactor that runs triggers before its shutdown."""

    def __init__(self) -> None:
        super().__init__()
        self.triggers: list[Callable[[], Deferred[None]]] = []

    def addSystemEventTrigger(self, phase: str, event: str, function: Callable[[], Deferred[None]]) -> object:
        assert (phase, event) == ("before", "shutdown")
        self.triggers.append(function)
        return function

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        self.triggers.remove(trigger)


def store(label: str, **options: object) -> dict[str, object]:
    return {"type": "zt-store", "name": label, "label": label, **options}


def service(*stores: object, **options: Any) -> StoreService:
    return StoreService({"stores": list(stores)}, Reactor(), **options)


def module() -> Any:
    return sys.modules[MODULE]


def calls() -> list[str]:
    return list(module().CALLS)


def result(deferred: Deferred[Any]) -> Any:
    """Return what a Deferred has fired with, or raise it."""
    results: list[Any] = []
    failures: list[Any] = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        raise failures[0].value
    assert results, "it has not fired"
    return results[0]


STARTING = ["attach", "migrate", "start"]
STOPPING = ["drain", "stop"]


def steps(label: str, names: list[str]) -> list[str]:
    return [f"{label}.{name}" for name in names]


def test_stores_start_in_order_and_stop_in_reverse() -> None:
    stores = service(store("a"), store("b"))
    assert stores.states() == {"a": "configured", "b": "configured"}
    assert calls() == []
    stores.startService()
    assert result(stores.started) is stores
    assert stores.running
    assert calls() == steps("a", STARTING) + steps("b", STARTING)
    result(stores.stopService())
    assert calls()[6:] == steps("b", STOPPING) + steps("a", STOPPING)
    assert stores.states() == {"a": "stopped", "b": "stopped"}
    assert not stores.running


def test_a_store_starts_only_when_the_one_before_it_has() -> None:
    stores = service(store("a", waits="migrate"), store("b"))
    stores.startService()
    assert calls() == ["a.attach", "a.migrate"]
    assert not stores.started.called
    module().WAITING[0].callback(None)
    assert stores.states() == {"a": "started", "b": "started"}
    assert result(stores.started) is stores


def test_the_services_are_what_twisted_takes_for_services() -> None:
    stores = service(store("a"))
    assert verifyObject(IServiceCollection, stores)
    assert verifyObject(IService, stores.getServiceNamed("a"))


def test_a_store_is_had_by_its_name_which_is_the_type_by_default() -> None:
    stores = service({"type": "zt-store", "label": "x"}, store("b"))
    assert list(stores.states()) == ["zt-store", "b"]
    assert isinstance(stores.store("b"), module().Store)
    with pytest.raises(PluginMissing, match="one of zt-store, b"):
        stores.store("c")
    assert stores.store("b", module().Store) is stores.store("b")
    with pytest.raises(ConfigError, match="another kind"):
        stores.store("b", str)


def test_stores_get_the_reactor_and_its_clock() -> None:
    stores = service(store("a"), time_ns=lambda: 17)
    (context,) = module().CONTEXTS
    called: list[int] = []
    context.call_later(3, lambda: called.append(context.time_ns()))
    call = context.call_later(3, lambda: called.append(0))
    call.cancel()
    context.reactor.advance(3)
    assert called == [17]
    assert stores.states() == {"a": "configured"}


# --- failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "undone"), [("attach", ["stop"]), ("migrate", ["stop"]), ("start", ["stop"])])
def test_a_store_that_fails_to_start_is_undone_and_logged_while_others_run(step: str, undone: list[str]) -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        stores = service(store("a"), store("b", fails=step), store("c"))
        stores.startService()
        result(stores.started)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert stores.states() == {"a": State.STARTED, "b": State.FAILED, "c": State.STARTED}
    assert stores.reasons()["b"].step == step
    assert list(stores.reasons()) == ["b"]
    assert [call for call in calls() if call.startswith("b.")][-1:] == steps("b", undone)
    (event,) = [event for event in events if "log_failure" in event]
    assert event["error"] is stores.reasons()["b"]
    assert event["log_failure"].value is stores.reasons()["b"].__cause__
    assert "zt_service_stores.py" in event["log_failure"].getTraceback()
    result(stores.stopService())
    assert stores.states() == {"a": State.STOPPED, "b": State.FAILED, "c": State.STOPPED}
    assert calls().count("b.stop") == 1


def test_strict_stops_the_others_and_fails() -> None:
    stores = service(store("a"), store("b", fails="start"), store("c"), strict=True)
    stores.startService()
    with pytest.raises(PluginError, match="start failed") as caught:
        result(stores.started)
    assert (caught.value.step, caught.value.plugin) == ("start", "zt-store")
    assert stores.states() == {"a": State.STOPPED, "b": State.FAILED, "c": State.STOPPED}
    assert not [call for call in calls() if call.startswith("c.")]


@pytest.mark.parametrize("step", STOPPING)
def test_a_store_that_fails_to_stop_does_not_keep_the_others_from_it(step: str) -> None:
    stores = service(store("a"), store("b", fails=step))
    stores.startService()
    result(stores.stopService())
    assert calls()[6:] == steps("b", STOPPING) + steps("a", STOPPING)
    assert stores.states() == {"a": State.STOPPED, "b": State.FAILED}
    assert stores.reasons()["b"].step == step


def test_strict_tells_of_a_failing_stop_once_all_are_stopped() -> None:
    stores = service(store("a"), store("b", fails="drain"), strict=True)
    stores.startService()
    with pytest.raises(PluginError, match="drain failed"):
        result(stores.stopService())
    assert stores.states()["a"] == State.STOPPED
    result(stores.stopService())


def test_stopping_waits_for_a_store_that_is_starting_and_starts_no_more() -> None:
    stores = service(store("a", waits="attach"), store("b"))
    stores.startService()
    stopped = stores.stopService()
    assert not stopped.called
    module().WAITING[0].callback(None)
    result(stopped)
    assert calls() == steps("a", STARTING) + steps("a", STOPPING)
    assert stores.states() == {"a": State.STOPPED, "b": State.STOPPED}
    assert stores.started.called


def test_a_second_stop_waits_for_the_first_and_repeats_nothing() -> None:
    stores = service(store("a", waits="drain"))
    stores.startService()
    first, second = stores.stopService(), stores.stopService()
    assert not second.called
    module().WAITING[0].callback(None)
    result(first)
    result(second)
    assert calls().count("a.stop") == 1


def test_a_service_is_started_once_only() -> None:
    stores = service(store("a"))
    stores.startService()
    with pytest.raises(PluginError, match="once"):
        stores.startService()
    result(stores.stopService())
    with pytest.raises(PluginError, match="once"):
        stores.startService()


# --- configuration -----------------------------------------------------------------------------------


def problems(config: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        StoreService(config, Reactor())
    return list(caught.value.problems)


def test_all_faults_of_all_stores_are_told_at_once() -> None:
    found = problems(
        {
            "stores": [
                {**store("a", fale="x"), "label": 5},
                {"type": "zt-stor"},
                {"type": "zt-broken"},
                "zt-store",
                {"label": "x"},
                {"tipe": "zt-store", "label": "x"},
                {**store("b"), "name": 5},
                store("c"),
                store("c"),
                store("d", fails="create"),
            ]
        }
    )
    expected = [
        "stores[0].fale: unknown key, did you mean 'fails'?",
        "stores[0].label: expected str, got 5",
        "stores[1].type: there is no such plugin; got 'zt-stor'",
        "stores[2].type: plugin 'zt-broken': zt_service_broken:plugin cannot be imported: RuntimeError: out of order",
        "stores[3]: expected a mapping, got 'zt-store'",
        "stores[4].type: expected the name of a plugin, got None",
        "stores[5].type: expected the name of a plugin, got None; is 'tipe' meant to be it?",
        "stores[6].name: expected a name, got 5",
        "stores[8].name: 'c' is the name of another store",
        "stores[9].type: store 'd' of plugin 'zt-store': configure failed: KeyError",
    ]
    assert [line for line, start in zip(found, expected, strict=True) if not line.startswith(start)] == []
    assert calls() == []


@pytest.mark.parametrize("config", [{}, {"stores": None}, {"stores": {}}, [], None])
def test_a_configuration_without_a_list_of_stores_is_refused(config: Any) -> None:
    (problem,) = problems(config)
    assert problem.startswith("stores: expected a list of mappings, got ")


def test_keys_that_are_nearly_those_of_the_host_are_told() -> None:
    (problem,) = problems({"store": []})
    assert problem == "stores: expected a list of mappings, got None; is 'store' meant to be it?"
    (problem,) = problems({"stores": [{**store("a"), "nane": "x"}]})
    assert problem == "stores[0].nane: unknown key, did you mean 'name'?"


def test_no_stores_are_a_configuration_too() -> None:
    stores = service()
    stores.startService()
    assert result(stores.started) is stores
    result(stores.stopService())


# --- the reactor's shutdown --------------------------------------------------------------------------


def test_without_a_parent_the_reactors_shutdown_stops_the_stores() -> None:
    reactor = Reactor()
    stores = StoreService({"stores": [store("a", waits="drain")]}, reactor)
    assert reactor.triggers == []
    stores.startService()
    (trigger,) = reactor.triggers
    shut = trigger()
    assert not shut.called
    module().WAITING[0].callback(None)
    result(shut)
    assert stores.states() == {"a": State.STOPPED}


def test_the_trigger_stays_until_the_stores_are_stopped() -> None:
    reactor = Reactor()
    stores = StoreService({"stores": [store("a", waits="drain")]}, reactor)
    stores.startService()
    stopped = stores.stopService()
    assert len(reactor.triggers) == 1
    module().WAITING[0].callback(None)
    result(stopped)
    assert reactor.triggers == []


def test_within_an_application_the_parent_stops_the_stores() -> None:
    reactor = Reactor()
    application = MultiService()
    stores = StoreService({"stores": [store("a")]}, reactor)
    stores.setServiceParent(application)
    application.startService()
    assert reactor.triggers == []
    application.stopService()
    assert stores.states() == {"a": State.STOPPED}


def test_a_real_reactor_drains_before_it_ends(tmp_path: Path) -> None:
    code = """
from twisted.internet import reactor
from zlmdb.twisted.stores import StoreService
stores = StoreService({"stores": [{"type": "zt-store", "label": "a", "waits": "drain"}]}, strict=True)
import zt_service_stores as module
stores.startService()
stores.started.addCallback(lambda _: reactor.callLater(0, reactor.stop))
reactor.addSystemEventTrigger("before", "shutdown", lambda: reactor.callLater(0, module.WAITING[0].callback, None))
reactor.addSystemEventTrigger("during", "shutdown", lambda: print(*module.CALLS, stores.states()["zt-store"]))
reactor.run()
"""
    site = f"import sys; sys.path[:0] = [{str(tmp_path / 'site')!r}]"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", site + code], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == [*steps("a", STARTING), *steps("a", STOPPING), "stopped"], done.stderr
    assert done.stderr == ""


def test_a_store_drains_into_its_database_while_the_reactor_shuts_down(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from twisted.internet import reactor
from zlmdb.twisted.stores import StoreService
stores = StoreService({{"stores": [{{"type": "zt_drainer:plugin", "path": {str(tmp_path / "db")!r}}}]}}, strict=True)
stores.startService()
stores.started.addCallback(lambda _: reactor.callLater(0, reactor.stop))
reactor.run()
print(*stores.states().values())
"""
    (tmp_path / "zt_drainer.py").write_text(DRAINER)
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["stopped"], done.stderr
    with zlmdb.Database(str(tmp_path / "db")) as db, db.begin() as txn:
        records = zlmdb.MapOidString(10)
        assert list(records.select(txn, return_keys=False)) == ["1", "2", "3"]
