# SPDX-License-Identifier: MIT
"""Reloading one store with another configuration while the others run on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.plugin_samples import NotesStore
from zlmdb.errors import ConfigError, DatabaseClosed, PluginError, PluginMissing
from zlmdb.plugins import State
from zlmdb.testing.loops import run_reactor
from zlmdb.twisted.stores import StoreService

Test = Callable[[StoreService], Coroutine[Any, Any, None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Test], None]:
    """Run a service with the stores ``one`` and ``two`` in these directories, each with a note."""

    def run(test: Test) -> None:
        async def main(reactor: Any) -> None:
            stores = [item(tmp_path, "one"), item(tmp_path, "two")]
            service = StoreService({"stores": stores}, reactor)
            service.startService()
            await service.started
            for name in ("one", "two"):
                await service.store(name, NotesStore).put(1, name)
            await test(service)
            await service.stopService()
            assert not service.running

        run_reactor(main)

    return run


def item(directory: Path, name: str, **changes: object) -> dict[str, object]:
    return {"type": "tests.plugin_samples:v1", "name": name, "path": str(directory / name), **changes}


async def error_of(service: StoreService, name: str, config: Any) -> Any:
    with pytest.raises((PluginError, ConfigError)) as caught:
        await service.reload(name, config)
    return caught.value


def test_a_reload_replaces_one_store_on_its_own_file_and_keeps_the_data(run: Any, tmp_path: Path) -> None:
    async def test(service: StoreService) -> None:
        former, two = (service.store(name, NotesStore) for name in ("one", "two"))
        fresh = await service.reload("one", {"path": str(tmp_path / "one"), "maxsize": 10**7})
        assert service.store("one") is fresh
        assert isinstance(fresh, NotesStore)
        assert fresh is not former
        assert fresh.get(1) == "one"
        assert fresh.db.database.maxsize == 10**7
        assert former.calls[-2:] == ["drain", "stop"]
        with pytest.raises(DatabaseClosed):
            former.get(1)
        assert service.store("two") is two
        assert two.calls == ["attach", "migrate", "start"]
        assert list(service.states()) == ["one", "two"]
        assert [each.name for each in service] == ["two", "one"]
        await fresh.put(2, "more")

    run(test)


def test_a_store_can_be_reloaded_again_and_again_to_another_file_and_back(run: Any, tmp_path: Path) -> None:
    async def test(service: StoreService) -> None:
        for number in range(3):
            await service.reload("one", {"path": str(tmp_path / "three")})
            assert service.store("one", NotesStore).get(1) is None
            await service.reload("one", {"path": str(tmp_path / "one")})
            assert service.store("one", NotesStore).get(1) == "one", number

    run(test)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, ["one.path: missing, expected str"]),
        (
            {"path": 5, "redonly": True},
            ["one.redonly: unknown key, did you mean 'readonly'?", "one.path: expected str, got 5"],
        ),
        ({"path": "x", "name": "three"}, ["one.name: a reload keeps it, expected 'one', got 'three'"]),
        (
            {"path": "x", "type": "cookiestore"},
            ["one.type: a reload keeps it, expected 'tests.plugin_samples:v1', got 'cookiestore'"],
        ),
        ([], ["one: expected a mapping, got []"]),
    ],
)
def test_a_wrong_configuration_changes_nothing(run: Any, config: Any, told: list[str]) -> None:
    async def test(service: StoreService) -> None:
        former = service.store("one", NotesStore)
        error = await error_of(service, "one", config)
        assert isinstance(error, ConfigError)
        assert list(error.problems) == told
        assert service.store("one") is former
        assert former.calls == ["attach", "migrate", "start"]
        assert former.get(1) == "one"

    run(test)


@pytest.mark.parametrize("step", ["attach", "migrate", "start"])
def test_a_store_that_does_not_start_is_replaced_by_the_former(run: Any, tmp_path: Path, step: str) -> None:
    async def test(service: StoreService) -> None:
        error = await error_of(service, "one", {"path": str(tmp_path / "one"), "fails": step})
        assert (error.step, type(error.__cause__)) == (step, LookupError)
        assert error.__notes__ == ["The former one runs again"]
        assert service.states() == {"one": State.STARTED, "two": State.STARTED}
        store = service.store("one", NotesStore)
        assert (store.config.fails, store.get(1)) == ("", "one")
        assert service.store("two", NotesStore).calls == ["attach", "migrate", "start"]

    run(test)


def test_a_store_whose_former_configuration_fails_too_is_told_of_both(run: Any, tmp_path: Path) -> None:
    async def test(service: StoreService) -> None:
        (tmp_path / "one").rename(tmp_path / "elsewhere")
        (tmp_path / "one").write_text("no directory")
        error = await error_of(service, "one", {"path": str(tmp_path / "one"), "fails": "start"})
        assert "The former configuration fails too" in error.__notes__[0]
        assert service.states() == {"one": State.FAILED, "two": State.STARTED}

    run(test)


def test_a_store_that_failed_is_reloaded_with_what_works(run: Any, tmp_path: Path) -> None:
    async def test(service: StoreService) -> None:
        (tmp_path / "plain").write_text("a file")
        await error_of(service, "one", {"path": str(tmp_path / "plain" / "db")})
        await service.reload("one", {"path": str(tmp_path / "one")})
        assert service.store("one", NotesStore).get(1) == "one"

    run(test)


def test_reloads_wait_for_each_other_and_the_stop_for_them(run: Any, tmp_path: Path) -> None:
    async def test(service: StoreService) -> None:
        config = {"path": str(tmp_path / "one")}
        reloads = [service.reload("one", {**config, "maxsize": 10**7 + number}) for number in range(3)]
        stopped = service.stopService()
        late = service.reload("one", config)
        outcomes = []
        for reload in [*reloads, late]:
            outcomes.append(await reload.addErrback(lambda failure: failure.value))
        await stopped
        assert isinstance(outcomes[-1], PluginError)
        assert (outcomes[-1].step, outcomes[-1].what) == ("reload", "the service is not running")
        assert service.states() == {"one": State.STOPPED, "two": State.STOPPED}

    run(test)


def test_an_unknown_store_cannot_be_reloaded(run: Any) -> None:
    async def test(service: StoreService) -> None:
        assert isinstance(await error_of(service, "three", {}), PluginMissing)

    run(test)


def test_the_changes_of_a_store_tell_how_it_came_about(run: Any, tmp_path: Path) -> None:
    async def test(service: StoreService) -> None:
        changes = service.changes("one")
        assert [change.state for change in changes] == ["configured", "attached", "migrated", "started"]
        assert [change.time_ns for change in changes] == sorted(change.time_ns for change in changes)
        with pytest.raises(PluginMissing):
            service.changes("three")

    run(test)
