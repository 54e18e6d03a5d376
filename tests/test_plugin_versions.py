# SPDX-License-Identifier: MIT
"""The version of a plugin's schema: noted in the file, upgraded in one transaction, and refused if it is newer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.plugin_samples import IndexedNotesStore, NotesStore, Tables, v1, v2
from zlmdb.aio import open_database
from zlmdb.errors import ConfigError, PluginError, SchemaError, SchemaTooNew
from zlmdb.plugins import Context, Plugin, SchemaVersions, State, configure, stored_version
from zlmdb.testing.loops import run_reactor
from zlmdb.twisted.stores import StoreService

Test = Callable[[StoreService], Coroutine[Any, Any, Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def run(path: Path, plugin: str, test: Test | None = None, **options: object) -> Any:
    """Run a service with one store of this plugin on the file, and the test in between."""

    async def main(reactor: Any) -> Any:
        config = {"type": f"tests.plugin_samples:{plugin}", "name": "notes", "path": str(path), **options}
        service = StoreService({"stores": [config]}, reactor)
        service.startService()
        await service.started
        try:
            return await test(service) if test else service.reasons().get("notes")
        finally:
            await service.stopService()

    return run_reactor(main)


async def write_notes(service: StoreService) -> None:
    store = service.store("notes", NotesStore)
    await store.put(1, "one")
    await store.put(2, "two")


def read(path: Path) -> tuple[int | None, dict[int, str]]:
    """Return the version that the file has, and the notes in it."""
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn:
        return stored_version(txn, db, "notes"), dict(db.attach(Tables).notes.select(txn))


def data(path: Path) -> bytes:
    return (path / "data.mdb").read_bytes()


NOTES = {1: "one", 2: "two"}


def test_a_new_file_gets_the_version_of_the_plugin(path: Path) -> None:
    run(path, "v1", write_notes)
    assert read(path) == (1, NOTES)


def test_a_newer_plugin_upgrades_once_and_notes_its_version(path: Path) -> None:
    run(path, "v1", write_notes)

    async def test(service: StoreService) -> list[str]:
        store = service.store("notes", IndexedNotesStore)
        with store.db.begin() as txn:
            assert dict(store.schema.by_text.select(txn)) == {"one": 1, "two": 2}
        return list(store.calls)

    assert run(path, "v2", test) == ["attach", "upgrade from 1", "migrate", "start"]
    assert read(path) == (2, NOTES)
    assert run(path, "v2", test) == ["attach", "migrate", "start"]


def test_the_upgrade_of_a_file_without_a_version_gets_zero(path: Path) -> None:
    with zlmdb.Database(path, sync=False) as db:
        tables = db.attach(Tables)
        with db.begin(write=True) as txn:
            tables.notes[txn, 1] = "one"

    async def test(service: StoreService) -> list[str]:
        store = service.store("notes", IndexedNotesStore)
        with store.db.begin() as txn:
            assert dict(store.schema.by_text.select(txn)) == {"one": 1}
        return list(store.calls)

    assert "upgrade from 0" in run(path, "v2", test)
    assert read(path) == (2, {1: "one"})


@pytest.mark.parametrize("options", [{}, {"readonly": True}])
def test_a_file_of_a_newer_version_is_refused_untouched(path: Path, options: dict[str, object]) -> None:
    run(path, "v3", write_notes)
    before = data(path)
    reason = run(path, "v2", **options)
    assert (reason.step, reason.plugin) == ("attach", "notes")
    error = reason.__cause__
    assert isinstance(error, SchemaTooNew)
    assert (error.got, error.expected) == (3, "2 at most")
    assert str(path) in str(error)
    assert data(path) == before
    assert read(path) == (3, NOTES)


@pytest.mark.parametrize(
    ("plugin", "options", "step"),
    [("v2_without_upgrade", {}, "upgrade"), ("v2", {"readonly": True}, "writing once")],
)
def test_an_older_file_that_cannot_be_upgraded_is_refused_untouched(
    path: Path, plugin: str, options: dict[str, object], step: str
) -> None:
    run(path, "v1", write_notes)
    before = data(path)
    reason = run(path, plugin, **options)
    error = reason.__cause__
    assert isinstance(error, SchemaError)
    assert not isinstance(error, SchemaTooNew)
    assert step in str(error.next_step)
    assert data(path) == before


def test_an_upgrade_that_fails_leaves_the_version_and_all_data_as_they_were(path: Path) -> None:
    run(path, "v1", write_notes)
    reason = run(path, "v2", fails="upgrade")
    assert reason.step == "migrate"
    assert isinstance(reason.__cause__, LookupError)
    assert read(path) == (1, NOTES)
    assert run(path, "v1") is None
    assert run(path, "v2") is None
    assert read(path) == (2, NOTES)


def test_an_upgrade_that_cannot_run_in_a_transaction_is_refused_before_anything_is_opened(path: Path) -> None:
    with pytest.raises(ConfigError, match="a transaction cannot wait for anything"):
        run(path, "waiting")
    assert not path.exists()


def test_two_plugins_in_one_file_have_a_version_each(path: Path) -> None:
    run(path, "v1", write_notes)
    run(path, "v2")
    assert run(path, "other") is None
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn:
        assert dict(db.attach_table(SchemaVersions).select(txn)) == {"notes": 2, "other-notes": 1}


def test_of_two_stores_on_one_path_with_different_options_the_first_runs_on(path: Path) -> None:
    async def main(reactor: Any) -> None:
        first = {"type": "tests.plugin_samples:v1", "name": "first", "path": str(path)}
        second = {"type": "tests.plugin_samples:other", "name": "second", "path": str(path), "readonly": True}
        third = {**second, "name": "third", "readonly": False}
        service = StoreService({"stores": [first, second, third]}, reactor)
        service.startService()
        await service.started
        assert service.states() == {"first": State.STARTED, "second": State.FAILED, "third": State.STARTED}
        assert isinstance(service.reasons()["second"].__cause__, zlmdb.errors.OptionsConflict)
        await write_through(service, "first", "third")
        await service.stopService()

    run_reactor(main)
    assert read(path) == (1, {1: "first", 2: "third"})


async def write_through(service: StoreService, *names: str) -> None:
    for number, name in enumerate(names, start=1):
        await service.store(name, NotesStore).put(number, name)


def test_under_asyncio_versions_are_kept_as_well(path: Path) -> None:
    async def live(plugin: Plugin[Any]) -> PluginError | None:
        call_later = asyncio.get_running_loop().call_later
        managed = configure(plugin, {"path": str(path)}, Context(open_database=open_database, call_later=call_later))
        try:
            await managed.start()
            await managed.stop()
        except PluginError as error:
            return error
        return None

    run(path, "v1", write_notes)
    assert asyncio.run(live(v2)) is None
    error = asyncio.run(live(v1))
    assert error is not None
    assert isinstance(error.__cause__, SchemaTooNew)
    assert read(path) == (2, NOTES)


def test_the_reason_of_a_refusal_is_a_plugin_error_with_the_way_out(path: Path) -> None:
    run(path, "v3", write_notes)
    reason = run(path, "v1")
    assert isinstance(reason, PluginError)
    assert "install a newer version of the plugin" in str(reason)
