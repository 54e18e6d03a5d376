# SPDX-License-Identifier: MIT
# ruff: noqa: D102  # the names of tests are sentences
"""`StoreContract`: tests that the authors of plugins inherit, for what any store has to do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from zlmdb.errors import ConfigError
from zlmdb.plugins import Context, Plugin, Registry, State, Store, check
from zlmdb.testing.loops import run_reactor
from zlmdb.twisted.stores import StoreService

T = TypeVar("T")
Test = Callable[..., Coroutine[Any, Any, T]]

SECOND = 10**9
"""In nanoseconds."""
START = 1_700_000_000 * SECOND
"""The time at which each test begins, in nanoseconds since 1970 UTC."""


class ContractClock:
    """The wall clock of the stores under test, in nanoseconds; it stands still but for `advance`."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the time on."""
        self.now += int(seconds * SECOND)


class StoreContract:
    """What any store has to do. Inherit it in a test module, and pytest runs its tests on your plugin.

    For example::

        class TestMyStore(StoreContract):
            plugin = "mystore"  # the name of its entry point, or the Plugin itself

            def configuration(self, directory):
                return {"path": str(directory / "db")}

    ``self.run(directory, test)`` is for tests of your own: it starts a store on a new reactor, awaits
    ``test(store)``, stops the store and returns what the test returned. The time is that of ``self.clock``. Called
    again with the same directory, it starts another store on what the first one left.
    """

    plugin: ClassVar[Plugin[Any] | str]
    persistent: ClassVar[bool] = True
    """Whether another store of the same configuration finds what was stored. Tests of that are skipped if not."""
    clock: ContractClock

    def configuration(self, directory: Path) -> dict[str, Any]:
        """Return the configuration of a store that keeps its data in ``directory``, which exists."""
        return {"path": str(directory / "store")}

    @pytest.fixture(autouse=True)
    def _new_clock(self) -> None:
        self.clock = ContractClock()

    def loaded(self) -> Plugin[Any]:
        """Return the plugin."""
        given = type(self).plugin
        return Registry().load(given) if isinstance(given, str) else given

    def service(
        self, directory: Path, reactor: Any, *, plugin: Plugin[Any] | None = None, **options: Any
    ) -> StoreService:
        """Return a service with one store, ``store``; ``options`` are added to the configuration."""
        plugin = self.loaded() if plugin is None else plugin
        config = {"type": plugin.name, "name": "store", **self.configuration(directory), **options}
        registry = Registry()
        registry.add(plugin)
        return StoreService({"stores": [config]}, reactor, registry, strict=True, time_ns=self.clock)

    def run(self, directory: Path, test: Test[T], **options: Any) -> T:
        """Run ``await test(store)`` with a started store, stop the store, and return what the test returned."""

        async def main(reactor: Any) -> T:
            service = self.service(directory, reactor, **options)
            service.startService()
            await service.started
            try:
                return await test(service.store("store"))
            finally:
                await service.stopService()

        return run_reactor(main)

    def run_service(self, directory: Path, test: Test[T]) -> T:
        """Run ``await test(service)`` with a service that is not started."""

        async def main(reactor: Any) -> T:
            return await test(self.service(directory, reactor))

        return run_reactor(main)

    def need_persistence(self) -> None:
        """Skip the test for stores that keep nothing."""
        if not self.persistent:
            pytest.skip("this store keeps nothing beyond its stop")

    # --- the tests

    def test_the_plugin_keeps_the_contract_of_plugins(self) -> None:
        registry = Registry()
        registry.add(self.loaded())
        assert registry.load(self.loaded().name) is self.loaded()

    def test_the_configuration_is_checked_completely(self, tmp_path: Path) -> None:
        plugin, raw = self.loaded(), self.configuration(tmp_path)
        check(plugin.config, raw)
        with pytest.raises(ConfigError) as caught:
            check(plugin.config, {**raw, "no-such-key": 1, "nor this one": 2})
        assert len(caught.value.problems) == 2

    def test_making_a_store_touches_no_file(self, tmp_path: Path) -> None:
        async def test(service: StoreService) -> None:
            assert service.states() == {"store": State.CONFIGURED}
            await service.stopService()

        self.run_service(tmp_path, test)
        assert list(tmp_path.iterdir()) == []

    def test_a_store_starts_and_stops_through_all_states(self, tmp_path: Path) -> None:
        async def test(service: StoreService) -> None:
            service.startService()
            await service.started
            await service.stopService()
            expected = ["configured", "attached", "migrated", "started", "draining", "stopped"]
            assert [change.state for change in service.changes("store")] == expected

        self.run_service(tmp_path, test)

    def test_a_store_starts_again_on_what_it_left(self, tmp_path: Path) -> None:
        for _ in range(3):
            self.test_a_store_starts_and_stops_through_all_states(tmp_path)

    def test_a_reload_gives_a_store_that_runs(self, tmp_path: Path) -> None:
        async def test(service: StoreService) -> None:
            service.startService()
            await service.started
            former = service.store("store")
            fresh = await service.reload("store", self.configuration(tmp_path))
            assert fresh is not former
            assert service.states() == {"store": State.STARTED}
            await service.stopService()

        self.run_service(tmp_path, test)

    def test_a_store_whose_database_does_not_open_is_stopped_like_any(self, tmp_path: Path) -> None:
        failing = LookupError("no database opens")
        plugin = self.loaded()

        async def refuse(*_: object, **__: object) -> None:
            raise failing

        def create(config: Any, context: Context) -> Store:
            return plugin.create(config, replace(context, open_database=refuse))

        async def main(reactor: Any) -> None:
            service = self.service(tmp_path, reactor, plugin=replace(plugin, create=create))
            service.startService()
            await service.started.addErrback(lambda _: None)
            if (reason := service.reasons().get("store")) is not None:
                assert reason.__cause__ is failing
                assert not hasattr(reason, "__notes__"), "stop() has to bear a store that opened nothing"
            await service.stopService()

        run_reactor(main)

    def test_a_stopped_store_leaves_no_timers(self, tmp_path: Path) -> None:
        async def main(reactor: Any) -> None:
            before = set(map(id, reactor.getDelayedCalls()))
            service = self.service(tmp_path, reactor)
            service.startService()
            await service.started
            await service.stopService()
            left = [call for call in reactor.getDelayedCalls() if id(call) not in before]
            assert left == [], "stop() has to cancel them"

        run_reactor(main)
