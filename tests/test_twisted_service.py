# SPDX-License-Identifier: MIT
"""`DatabaseService`: a database that is open as long as its service runs."""

from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface.verify import verifyObject

import zlmdb
from tests.faces import busy, database_threads, error_of
from tests.reactor_bench import run
from zlmdb import errors
from zlmdb.twisted import DatabaseService


def test_the_database_is_open_while_the_service_runs(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        service = DatabaseService(tmp_path / "db", reactor=reactor, sync=False)
        assert verifyObject(IService, service)
        for _ in range(2):  # it may be started again
            with pytest.raises(errors.DatabaseClosed, match="start the service"):
                service.database
            early = service.opened()
            service.startService()
            db = await service.opened()
            assert await early is db is service.database
            assert service.running
            users = db.map(zlmdb.MapStringCbor(7))
            with busy(db):
                put = users.put("a", 1)
                stopped = service.stopService()
            await stopped
            assert put.called
            assert database_threads() == []
            assert isinstance(await error_of(users.get("a")), errors.DatabaseClosed)

    run(main)


def test_a_service_that_is_stopped_at_once_ends_closed(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        service = DatabaseService(tmp_path / "db", reactor=reactor)
        service.startService()
        opened = service.opened()
        await service.stopService()
        assert not (await opened).database.is_open
        with pytest.raises(errors.DatabaseClosed):
            service.database
        await service.stopService()  # which stops nothing more

    run(main)


def test_a_database_that_cannot_be_opened_is_logged_and_told_and_can_be_tried_again(tmp_path: Path) -> None:
    ended: list[bool] = []

    async def main(reactor: Any) -> None:
        service = DatabaseService(tmp_path / "db", reactor=reactor, create=False)
        service.startService()
        for _ in range(2):
            assert isinstance(await error_of(service.opened()), errors.DatabaseMissing)
        await service.stopService()
        zlmdb.Database(tmp_path / "db").close()
        service.startService()
        await service.opened()
        await service.stopService()
        ended.append(True)

    with pytest.raises(AssertionError, match=r"nobody handled.*DatabaseMissing"):  # which is what was logged
        run(main)
    assert ended


def test_a_service_without_a_parent_is_closed_before_the_reactors_shutdown(tmp_path: Path) -> None:
    services: list[DatabaseService] = []

    async def main(reactor: Any) -> Deferred[None]:
        services.append(DatabaseService(tmp_path / "db", reactor=reactor))
        services[0].startService()
        users = (await services[0].opened()).map(zlmdb.MapStringCbor(7))
        return users.put("a", 1)

    assert run(main).called
    assert not services[0].database.database.is_open


def test_a_deadline_of_closing_is_that_of_the_service(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        service = DatabaseService(tmp_path / "db", reactor=reactor, deadline=0)
        service.startService()
        db = await service.opened()
        with busy(db):
            put = db.map(zlmdb.MapStringCbor(7)).put("a", 1)
            stopped = service.stopService()
            assert isinstance(await error_of(put), errors.NotWritten)
        await stopped

    run(main)
    with pytest.raises(errors.ConfigError, match="deadline"):
        DatabaseService(tmp_path / "db", deadline=-1)


def test_a_service_that_still_writes_while_it_stops_can_stop_the_database_itself(tmp_path: Path) -> None:
    class Last(Service):
        """Writes its last record when it stops."""

        def __init__(self, database: DatabaseService) -> None:
            self.database = database

        def stopService(self) -> Deferred[None]:  # type: ignore[override]
            super().stopService()

            async def stop() -> None:
                await self.database.database.map(zlmdb.MapStringCbor(7)).put("last", 1)
                await self.database.stopService()

            return ensureDeferred(stop())

    async def main(reactor: Any) -> None:
        parent = MultiService()
        database = DatabaseService(tmp_path / "db", reactor=reactor)
        Last(database).setServiceParent(parent)
        parent.startService()
        database.startService()
        await database.opened()
        await parent.stopService()

    run(main)
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert zlmdb.MapStringCbor(7)[txn, "last"] == 1
