# SPDX-License-Identifier: MIT
"""Finding and loading plugins of installed distributions, and the life of a store."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from zlmdb.errors import ConfigError, PluginError, PluginMissing
from zlmdb.plugins import API_VERSION, Context, ManagedStore, Plugin, Registry, State, configure

GOOD = """
import dataclasses
from zlmdb.plugins import Plugin

@dataclasses.dataclass
class Config:
    path: str = "x"

plugin = Plugin("{name}", {api}, 3, Config, lambda config, context: None)
"""

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install distributions of one module each, as pip leaves them; the module is named after the distribution."""
    modules: list[str] = []

    def install(distribution: str, name: str, source: str, attribute: str = "plugin") -> str:
        module = f"zt_{distribution.replace('-', '_')}"
        modules.append(module)
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[zlmdb.plugins]\n{name} = {module}:{attribute}\n")
        (info / "RECORD").write_text(f"{module}.py,,\n{info.name}/METADATA,,\n{info.name}/entry_points.txt,,\n")
        monkeypatch.syspath_prepend(site)
        return module

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def good(name: str, api: object = API_VERSION) -> str:
    return GOOD.format(name=name, api=api)


def entry(registry: Registry, name: str) -> Any:
    (found,) = [found for found in registry.found() if found.name == name]
    return found


# --- finding and loading -----------------------------------------------------------------------------


def test_the_framework_imports_no_event_loop_and_no_checking_library() -> None:
    code = "import sys, zlmdb.plugins as p; p.Registry().found(); print(*sys.modules)"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not {"twisted", "asyncio", "pydantic", "numpy", "zlmdb_cookiestore"} & set(done.stdout.split())


def test_listing_tells_name_distribution_version_and_value_and_imports_nothing(install: Install) -> None:
    module = install("acme-cookies", "cookies-a", "raise SystemExit('imported')")
    found = entry(Registry(), "cookies-a")
    assert (found.distribution, found.version, found.value) == ("acme-cookies", "1.2", f"{module}:plugin")
    assert (found.state, found.reason) == (State.FOUND, None)
    assert module not in sys.modules


def test_metadata_is_read_at_the_first_use_and_once(install: Install) -> None:
    registry = Registry()
    install("acme-early", "early", good("early"))
    assert entry(registry, "early")
    install("acme-late", "late", good("late"))
    assert "late" not in [found.name for found in registry.found()]
    assert "late" in [found.name for found in Registry().found()]


def test_a_plugin_is_loaded_once_by_its_name(install: Install) -> None:
    install("acme-one", "one", good("one"))
    registry = Registry()
    plugin = registry.load("one")
    assert (plugin.name, plugin.version) == ("one", 3)
    assert registry.load("one") is plugin
    assert registry.load("acme-one:one") is plugin
    assert entry(registry, "one").state == State.LOADED


def test_a_plugin_without_an_entry_point_is_loaded_by_package_and_attribute(install: Install) -> None:
    module = install("acme-direct", "something", good("of-its-own"))
    assert Registry().load(f"{module}:plugin").name == "of-its-own"


def test_an_unknown_name_is_refused_with_the_near_one_and_what_is_installed(install: Install) -> None:
    install("acme-near", "nearstore", good("nearstore"))
    with pytest.raises(PluginMissing, match="did you mean 'nearstore'") as caught:
        Registry().load("neerstore")
    assert caught.value.expected is not None
    assert "nearstore" in caught.value.expected
    assert isinstance(caught.value, LookupError)
    assert (caught.value.plugin, caught.value.step) == ("neerstore", "find")


@pytest.mark.parametrize("reference", ["zt_nowhere:plugin", "zt.nowhere:plugin", "no such:thing", "", ":", "a:b:c"])
def test_a_reference_that_means_nothing_is_missing(reference: str) -> None:
    with pytest.raises(PluginMissing):
        Registry().load(reference)


def test_two_distributions_of_one_name_are_refused_unless_one_is_chosen(install: Install) -> None:
    install("acme-first", "twice", good("twice"))
    second = install("acme-second", "twice", good("twice"))
    registry = Registry()
    with pytest.raises(PluginError, match="acme-first:twice or acme-second:twice"):
        registry.load("twice")
    assert registry.load("acme-second:twice").config.__module__ == second
    assert registry.load("Acme_Second:twice") is registry.load("acme-second:twice")


BROKEN = {
    "raises at import": ("1 / 0", "import", ZeroDivisionError),
    "imports what is not there": ("import zt_not_installed", "import", ModuleNotFoundError),
    "has a syntax error": ("def", "import", SyntaxError),
    "lacks the attribute": ("", "import", AttributeError),
    "names another object": ("plugin = object()", "check", type(None)),
    "names the class": ("from zlmdb.plugins import Plugin as plugin", "check", type(None)),
    "has a newer major": (good("broken", (API_VERSION[0] + 1, 0)), "check", type(None)),
    "has a newer minor": (good("broken", (API_VERSION[0], API_VERSION[1] + 1)), "check", type(None)),
    "has an older major": (good("broken", (API_VERSION[0] - 1, 0)), "check", type(None)),
    "has an api that is no pair": (good("broken", "1.0"), "check", type(None)),
    "has an api of text": (good("broken", ("1", "0")), "check", type(None)),
    "goes by another name": (good("other"), "check", type(None)),
    "has no config": (good("broken") + "plugin = Plugin('broken', (1, 0), 1, dict, print)", "check", type(None)),
    "has a config instance": (
        good("broken") + "plugin = Plugin('broken', (1, 0), 1, Config(), print)",
        "check",
        type(None),
    ),
    "has no create": (good("broken") + "plugin = Plugin('broken', (1, 0), 1, Config, None)", "check", type(None)),
    "has no version": (good("broken") + "plugin = Plugin('broken', (1, 0), '1', Config, print)", "check", type(None)),
    "has a version below one": (
        good("broken") + "plugin = Plugin('broken', (1, 0), 0, Config, print)",
        "check",
        type(None),
    ),
    "takes a key of the host": (good("broken").replace("path:", "type:"), "check", type(None)),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_plugin_fails_alone_and_stays_listed_with_its_reason(install: Install, how: str) -> None:
    source, step, cause = BROKEN[how]
    install("acme-broken", "broken", source)
    install("acme-sound", "sound", good("sound"))
    registry = Registry()
    with pytest.raises(PluginError, match="broken") as caught:
        registry.load("broken")
    assert (caught.value.plugin, caught.value.step) == ("broken", step)
    assert isinstance(caught.value.__cause__, cause)
    assert not isinstance(caught.value, PluginMissing)
    assert (entry(registry, "broken").state, entry(registry, "broken").reason) == (State.FAILED, caught.value)
    assert registry.load("sound").name == "sound"
    assert entry(registry, "sound").state == State.LOADED


def test_a_broken_plugin_asked_for_directly_is_broken_and_not_missing(install: Install) -> None:
    module = install("acme-shattered", "shattered", "import zt_not_installed")
    with pytest.raises(PluginError, match="zt_not_installed") as caught:
        Registry().load(f"{module}:plugin")
    assert not isinstance(caught.value, PluginMissing)


def test_a_repaired_plugin_loads_when_asked_for_again(install: Install, tmp_path: Path) -> None:
    module = install("acme-repaired", "repaired", "1 / 0")
    registry = Registry()
    with pytest.raises(PluginError):
        registry.load("repaired")
    (tmp_path / "acme-repaired" / f"{module}.py").write_text(good("repaired") + "# longer than before")
    assert registry.load("repaired").name == "repaired"
    assert (entry(registry, "repaired").state, entry(registry, "repaired").reason) == (State.LOADED, None)


def test_the_states_of_a_plugin_are_recorded_with_time_and_reason(install: Install, tmp_path: Path) -> None:
    module = install("acme-timed", "timed", "1 / 0")
    ticks = iter(range(1000, 10_000))
    registry = Registry(time_ns=ticks.__next__)
    with pytest.raises(PluginError) as caught:
        registry.load("timed")
    (tmp_path / "acme-timed" / f"{module}.py").write_text(good("timed") + "# longer than before")
    registry.load("timed")
    changes = entry(registry, "timed").changes
    assert [change.state for change in changes] == [State.FOUND, State.FAILED, State.LOADED]
    assert [change.reason for change in changes] == [None, caught.value, None]
    assert 1000 <= changes[0].time_ns < changes[1].time_ns < changes[2].time_ns


class Odd(BaseException):
    """An exception that no ``except Exception`` takes."""


def test_a_module_that_raises_no_exception_fails_alone_and_ctrl_c_passes(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-odd", "odd", "from tests.test_plugins import Odd; raise Odd('odd')")
    install("acme-interrupted", "interrupted", "raise KeyboardInterrupt")
    with pytest.raises(PluginError, match="Odd: odd"):
        Registry().load("odd")
    with pytest.raises(KeyboardInterrupt):
        Registry().load("interrupted")


def test_a_plugin_that_is_added_goes_before_an_installed_one_and_keeps_the_contract(install: Install) -> None:
    install("acme-installed", "added", good("added"))
    registry = Registry()
    plugin = dataclasses.replace(RECORDER, name="added")
    registry.add(plugin)
    assert registry.load("added") is plugin
    assert registry.load("acme-installed:added") is not plugin
    for wrong in (object(), dataclasses.replace(RECORDER, api=(9, 0)), dataclasses.replace(RECORDER, name=5)):  # type: ignore[arg-type]
        with pytest.raises(PluginError) as caught:
            registry.add(wrong)  # type: ignore[arg-type]
        assert caught.value.step == "check"


# --- the life of a store -----------------------------------------------------------------------------


@dataclasses.dataclass
class Config:
    fails: list[str] = dataclasses.field(default_factory=list)


class Recorder:
    """A store that notes its steps, fails where told, and waits in each step for what `pause` returns."""

    def __init__(self, fails: list[str], pause: Callable[[], Any] = lambda: None) -> None:
        self.fails = fails
        self.pause = pause
        self.calls: list[str] = []

    async def _step(self, name: str) -> None:
        self.calls.append(name)
        if (waiting := self.pause()) is not None:
            await waiting
        if name in self.fails:
            raise LookupError(f"no {name}")

    def attach(self) -> Any:
        return self._step("attach")

    def migrate(self) -> Any:
        return self._step("migrate")

    def start(self) -> Any:
        return self._step("start")

    def drain(self) -> Any:
        return self._step("drain")

    def stop(self) -> Any:
        return self._step("stop")


CONTEXT = Context(open_database=lambda: asyncio.sleep(0), call_later=lambda seconds, function: None)
RECORDER = Plugin("recorder", API_VERSION, 1, Config, lambda config, context: Recorder(config.fails))


def recorder(*fails: str) -> tuple[ManagedStore, Recorder]:
    managed = configure(RECORDER, {"fails": list(fails)}, CONTEXT)
    assert isinstance(managed.store, Recorder)
    return managed, managed.store


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never has to wait."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_a_life_goes_through_all_steps_in_order() -> None:
    managed, store = recorder()
    assert managed.state == State.CONFIGURED
    assert store.calls == []
    run(managed.start())
    assert managed.state == State.STARTED
    run(managed.stop())
    assert managed.state == State.STOPPED
    assert store.calls == ["attach", "migrate", "start", "drain", "stop"]


def test_steps_may_be_plain_functions() -> None:
    store = type("Plain", (), dict.fromkeys(["attach", "migrate", "start", "drain", "stop"], lambda self: None))()
    managed = ManagedStore("plain", RECORDER, store)
    run(managed.start())
    run(managed.stop())
    assert managed.state == State.STOPPED


@pytest.mark.parametrize(
    ("failing", "calls"),
    [
        ("attach", ["attach", "stop"]),
        ("migrate", ["attach", "migrate", "stop"]),
        ("start", ["attach", "migrate", "start", "stop"]),
    ],
)
def test_a_failing_step_undoes_what_was_begun_and_is_told(failing: str, calls: list[str]) -> None:
    managed, store = recorder(failing)
    with pytest.raises(PluginError, match=f"{failing} failed: LookupError") as caught:
        run(managed.start())
    assert store.calls == calls
    assert (caught.value.plugin, caught.value.step) == ("recorder", failing)
    assert isinstance(caught.value.__cause__, LookupError)
    assert (managed.state, managed.reason) == (State.FAILED, caught.value)
    run(managed.stop())
    assert store.calls == calls
    assert managed.state == State.FAILED


def test_a_failure_while_undoing_is_noted_beside_the_first() -> None:
    managed, _ = recorder("migrate", "stop")
    with pytest.raises(PluginError, match="migrate failed") as caught:
        run(managed.start())
    assert "stop failed" in "".join(caught.value.__notes__)


def test_a_failing_drain_still_stops_and_is_told_once() -> None:
    managed, store = recorder("drain")
    run(managed.start())
    with pytest.raises(PluginError, match="drain failed") as caught:
        run(managed.stop())
    assert store.calls[-2:] == ["drain", "stop"]
    assert (managed.state, managed.reason) == (State.FAILED, caught.value)
    run(managed.stop())
    assert store.calls[-2:] == ["drain", "stop"]


def test_stopping_again_does_nothing() -> None:
    managed, store = recorder()
    run(managed.start())
    run(managed.stop())
    run(managed.stop())
    assert store.calls.count("stop") == 1
    assert managed.state == State.STOPPED


def test_a_store_that_was_never_started_stops_without_a_step() -> None:
    managed, store = recorder()
    run(managed.stop())
    assert (managed.state, store.calls) == (State.STOPPED, [])


def test_a_store_is_started_once_only() -> None:
    managed, store = recorder()
    run(managed.start())
    for _ in range(2):
        with pytest.raises(PluginError, match="started once"):
            run(managed.start())
        run(managed.stop())
    assert store.calls == ["attach", "migrate", "start", "drain", "stop"]


def test_stop_is_refused_while_start_is_under_way_and_waits_for_no_second_stop() -> None:
    managed, store = recorder()
    waits: list[Deferred[None]] = []

    def pause() -> Deferred[None]:
        waits.append(Deferred())
        return waits[-1]

    store.pause = pause
    Deferred.fromCoroutine(managed.start())
    with pytest.raises(PluginError, match="still under way"):
        run(managed.stop())
    for _ in range(3):
        waits[-1].callback(None)
    stopping = Deferred.fromCoroutine(managed.stop())
    assert managed.state == State.DRAINING
    run(managed.stop())
    for _ in range(2):
        waits[-1].callback(None)
    assert stopping.called
    assert store.calls == ["attach", "migrate", "start", "drain", "stop"]


def test_a_start_cancelled_by_asyncio_can_be_stopped() -> None:
    managed, store = recorder()

    async def main() -> None:
        store.pause = asyncio.Event().wait
        task = asyncio.ensure_future(managed.start())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.pause = lambda: None
        await managed.stop()

    asyncio.run(main())
    assert store.calls == ["attach", "stop"]
    assert managed.state == State.STOPPED


async def live(managed: ManagedStore) -> None:
    await managed.start()
    assert managed.state == State.STARTED
    await managed.stop()


def test_a_life_under_asyncio_waits_for_its_steps() -> None:
    managed, store = recorder()
    store.pause = lambda: asyncio.sleep(0)
    asyncio.run(live(managed))
    assert store.calls == ["attach", "migrate", "start", "drain", "stop"]


def test_a_life_under_twisted_waits_for_its_steps() -> None:
    managed, store = recorder()
    clock = Clock()
    store.pause = lambda: deferLater(clock, 1, lambda: None)
    life = Deferred.fromCoroutine(live(managed))
    clock.pump([1, 1])
    assert (managed.state, store.calls) == (State.MIGRATED, ["attach", "migrate", "start"])
    clock.pump([1, 1, 1])
    assert life.called
    assert store.calls == ["attach", "migrate", "start", "drain", "stop"]


# --- configuring -------------------------------------------------------------------------------------


def test_a_wrong_configuration_is_refused_before_anything_is_made() -> None:
    made: list[Config] = []
    plugin = Plugin("p", API_VERSION, 1, Config, lambda config, context: made.append(config) or Recorder([]))
    with pytest.raises(ConfigError, match=r"here\.fails: expected a list of str, got 5"):
        configure(plugin, {"fails": 5}, CONTEXT, path="here")
    assert made == []


def test_a_store_that_cannot_be_made_is_the_plugins_fault() -> None:
    def create(config: Config, context: Context) -> Recorder:
        raise KeyError("no")

    with pytest.raises(PluginError, match="configure failed: KeyError") as caught:
        configure(Plugin("p", API_VERSION, 1, Config, create), {}, CONTEXT)
    assert (caught.value.step, type(caught.value.__cause__)) == ("configure", KeyError)


def test_a_store_that_lacks_steps_is_the_plugins_fault() -> None:
    plugin: Plugin[Any] = Plugin("p", API_VERSION, 1, Config, lambda config, context: object())  # type: ignore[arg-type,return-value]
    with pytest.raises(PluginError, match="lacks attach, migrate, start, drain, stop"):
        configure(plugin, {}, CONTEXT)
