# SPDX-License-Identifier: MIT
"""Plugins that require each other: loaded together, started in order, and told clearly where that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from zlmdb.entrypoints import Policy
from zlmdb.errors import ConfigError, PluginError, PluginMissing
from zlmdb.plugins import Registry, State
from zlmdb.twisted.stores import StoreService

# A plugin that notes the steps of its stores in CALLS; a store uses those that its configuration names.
SOURCE = """
import dataclasses
import sys
from zlmdb.plugins import Plugin

CALLS = sys.modules.setdefault("zr_calls", [])

@dataclasses.dataclass
class Config:
    uses: tuple[str, ...] = ()
    fails: str = ""

class Store:
    def __init__(self, config, context):
        self.config, self.context = config, context
        self.used = [context.store(name, object) for name in config.uses]

    def _step(self, step):
        CALLS.append(f"{NAME}.{step}")
        if step == self.config.fails:
            raise LookupError(step)

    def attach(self): return self._step("attach")
    def migrate(self): pass
    def start(self): pass
    def drain(self): pass
    def stop(self): return self._step("stop")

NAME = "@NAME"
plugin = Plugin(NAME, (1, 0), 1, Config, Store, requires=@REQUIRES)
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one plugin of this name, which requires others."""
    names: list[str] = []

    def install(name: str, *requires: str, source: str | None = None) -> None:
        names.append(name)
        site = tmp_path / name
        info = site / f"zr_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        text = (SOURCE if source is None else source).replace("@NAME", name).replace("@REQUIRES", repr(requires))
        (site / f"zr_{name}.py").write_text(text)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: zr-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[zlmdb.plugins]\n{name} = zr_{name}:plugin\n")
        monkeypatch.syspath_prepend(site)

    monkeypatch.setitem(sys.modules, "zr_calls", [])  # type: ignore[arg-type]  # a list that the plugins share
    yield install
    for name in names:
        sys.modules.pop(f"zr_{name}", None)


def calls() -> list[str]:
    shared: Any = sys.modules["zr_calls"]
    return list(shared)


class Reactor(Clock):
    def addSystemEventTrigger(self, *args: object) -> object:
        return args

    def removeSystemEventTrigger(self, trigger: object) -> None:
        pass


def service(*stores: dict[str, object], **options: Any) -> StoreService:
    return StoreService({"stores": list(stores)}, Reactor(), **options)


def problems(*stores: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        service(*stores)
    return list(caught.value.problems)


# --- loading


def test_what_a_plugin_requires_is_loaded_with_it(install: Install) -> None:
    install("realm", "history")
    install("history")
    registry = Registry()
    registry.load("realm")
    assert {found.name: found.state for found in registry.found() if found.distribution.startswith("zr-")} == {
        "history": State.LOADED,
        "realm": State.LOADED,
    }


def test_a_missing_requirement_is_told_with_the_whole_way_to_it(install: Install) -> None:
    install("front", "realm")
    install("realm", "history")
    registry = Registry()
    with pytest.raises(PluginError) as caught:
        registry.load("front")
    error = caught.value
    assert (error.plugin, error.step) == ("front", "require")
    assert "plugin 'front': it requires 'realm': plugin 'realm': it requires 'history': there is no such" in str(error)
    inner = error.__cause__
    assert isinstance(inner, PluginError)
    assert isinstance(inner.__cause__, PluginMissing)
    assert [found.reason for found in registry.found() if found.name == "front"] == [error]


def test_a_requirement_that_is_broken_is_told_and_others_load(install: Install) -> None:
    install("realm", "history")
    install("history", source="1 / 0")
    install("alone")
    registry = Registry()
    with pytest.raises(PluginError, match=r"it requires 'history': .*ZeroDivisionError"):
        registry.load("realm")
    assert registry.load("alone").name == "alone"


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        ({"a": ("a",)}, "a → a"),
        ({"a": ("b",), "b": ("a",)}, "a → b → a"),
        ({"a": ("b",), "b": ("c", "d"), "c": (), "d": ("a",)}, "a → b → d → a"),
        ({"a": ("b",), "b": ("c",), "c": ("b",)}, "it requires 'b': plugin 'b': plugins require .*: b → c → b"),
    ],
)
def test_plugins_that_require_each_other_are_refused_with_the_circle(
    install: Install, requires: dict[str, tuple[str, ...]], told: str
) -> None:
    for name, others in requires.items():
        install(name, *others)
    install("alone")
    registry = Registry()
    with pytest.raises(PluginError, match=told) as caught:
        registry.load("a")
    assert caught.value.step == "require"
    assert registry.load("alone").name == "alone"
    (problem,) = problems({"type": "a"})
    assert problem.startswith("stores[0].type: ")


@pytest.mark.parametrize("requires", ["history", ["history"], (5,), None])
def test_requirements_that_are_no_tuple_of_names_are_a_broken_contract(install: Install, requires: object) -> None:
    install("realm", source=SOURCE.replace("@REQUIRES", repr(requires)))
    with pytest.raises(PluginError, match="what it requires is not usable") as caught:
        Registry().load("realm")
    assert caught.value.step == "check"


def test_what_an_allowed_plugin_requires_is_allowed_for_it(install: Install) -> None:
    install("realm", "history")
    install("history")
    registry = Registry(Policy(frozenset({"realm"})))
    assert registry.load("realm").requires == ("history",)
    with pytest.raises(PluginError, match="does not allow"):
        registry.load("history")


def test_the_bundled_realm_store_brings_the_event_history() -> None:
    registry = Registry()
    registry.load("realmstore")
    states = {found.name: found.state for found in registry.found() if found.name == "eventhistory"}
    assert states == {"eventhistory": State.LOADED}


# --- the order of starting and stopping


def test_stores_of_required_plugins_start_before_and_stop_after_wherever_they_stand(install: Install) -> None:
    install("front", "realm")
    install("realm", "history")
    install("history")
    install("alone")
    stores = service({"type": "front"}, {"type": "alone"}, {"type": "realm"}, {"type": "history"})
    stores.startService()
    order = ["history", "realm", "front", "alone"]
    assert list(stores.states()) == order
    assert calls() == [f"{name}.attach" for name in order]
    stores.stopService()
    assert calls()[4:] == [f"{name}.stop" for name in reversed(order)]


def test_without_requirements_the_order_is_that_of_the_configuration(install: Install) -> None:
    for name in "cab":
        install(name)
    assert list(service({"type": "b"}, {"type": "a"}, {"type": "c"}).states()) == ["b", "a", "c"]


def test_a_plugin_that_is_required_needs_no_store(install: Install) -> None:
    install("realm", "history")
    install("history")
    stores = service({"type": "realm"})
    stores.startService()
    assert stores.states() == {"realm": State.STARTED}


# --- using another store


def test_a_store_gets_those_it_names_and_starts_after_them(install: Install) -> None:
    install("realm", "history")
    install("history")
    stores = service({"type": "realm", "uses": ["two"]}, {"type": "history", "name": "two"})
    realm: Any = stores.store("realm")
    assert realm.used == [stores.store("two")]
    stores.startService()
    assert calls() == ["history.attach", "realm.attach"]


def test_a_store_does_not_start_if_one_it_uses_failed_and_others_do(install: Install) -> None:
    install("realm", "history")
    install("history")
    stores = service(
        {"type": "history", "fails": "attach"},
        {"type": "realm", "uses": ["history"]},
        {"type": "realm", "name": "independent"},
    )
    stores.startService()
    assert stores.states() == {"history": State.FAILED, "realm": State.FAILED, "independent": State.STARTED}
    reason = stores.reasons()["realm"]
    assert reason.step == "require"
    assert "it uses the store 'history', which is failed" in str(reason)
    assert reason.__cause__ is stores.reasons()["history"]
    assert calls() == ["history.attach", "history.stop", "realm.attach"]  # that of the independent one


@pytest.mark.parametrize(
    ("stores", "told"),
    [
        ([{"type": "realm", "uses": ["history"]}], "a store that there is not; got 'history'; expected one of none"),
        (
            [{"type": "realm", "uses": ["histori"]}, {"type": "history"}],
            "a store that there is not; got 'histori'; expected one of history",
        ),
        (
            [{"type": "realm", "uses": ["other"]}, {"type": "other"}],
            "a store that there is not; got 'other'; expected one of none that is configured, of a plugin it requires",
        ),
    ],
)
def test_a_store_that_uses_what_it_cannot_have_is_a_fault_of_the_configuration(
    install: Install, stores: list[dict[str, object]], told: str
) -> None:
    install("realm", "history")
    install("history")
    install("other")
    (problem,) = problems(*stores)
    assert problem.startswith("stores[0]: ")
    assert told in problem
    assert calls() == []


def test_a_store_that_uses_one_with_faults_is_told_beside_these(install: Install) -> None:
    install("realm", "history")
    install("history")
    found = problems({"type": "realm", "uses": ["history"]}, {"type": "history", "fail": "x"})
    assert [each.partition(":")[0] for each in found] == ["stores[0]", "stores[1].fail"]
    assert "whose own configuration is wrong" in found[0]


def test_a_store_of_another_kind_than_the_one_that_is_used_is_refused(install: Install) -> None:
    install("history")
    install("realm", "history", source=SOURCE.replace("context.store(name, object)", "context.store(name, dict)"))
    (problem,) = problems({"type": "history"}, {"type": "realm", "uses": ["history"]})
    assert "which is of another kind; got 'Store'; expected dict" in problem


# --- reloading


def started(*stores: dict[str, object]) -> StoreService:
    running = service(*stores)
    running.startService()
    assert set(running.states().values()) == {State.STARTED}
    del sys.modules["zr_calls"][:]  # type: ignore[attr-defined]
    return running


def test_a_reload_replaces_those_that_use_the_store_too_in_order(install: Install) -> None:
    install("front", "realm")
    install("realm", "history")
    install("history")
    stores = started(
        {"type": "history"},
        {"type": "realm", "uses": ["history"]},
        {"type": "realm", "name": "independent"},
        {"type": "front", "uses": ["realm"]},
    )
    before = {name: stores.store(name) for name in stores.states()}
    stores.reload("history", {})
    names = ["history", "realm", "front"]
    assert calls() == [f"{name}.stop" for name in reversed(names)] + [f"{name}.attach" for name in names]
    assert set(stores.states().values()) == {State.STARTED}
    assert list(stores.states()) == ["history", "realm", "independent", "front"]
    realm: Any = stores.store("realm")
    assert realm.used == [stores.store("history")]
    assert [name for name, store in before.items() if stores.store(name) is store] == ["independent"]


def test_if_one_that_uses_the_store_does_not_start_again_the_former_come_back(install: Install) -> None:
    install("realm", "history", source=SOURCE.replace("CALLS.append", "self.look(step); CALLS.append") + LOOKING)
    install("history")
    stores = started({"type": "history"}, {"type": "realm", "uses": ["history"]})
    failures: list[Any] = []
    stores.reload("history", {"fails": "stop"}).addErrback(failures.append)
    assert "does not like it" in str(failures[0].value)
    assert "The former one runs again" in failures[0].value.__notes__
    assert stores.states() == {"history": State.STARTED, "realm": State.STARTED}


LOOKING = """
def look(self, step):
    if step == "attach" and self.used[0].config.fails:
        raise ValueError("does not like it")
Store.look = look
"""
