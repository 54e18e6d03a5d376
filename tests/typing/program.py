# SPDX-License-Identifier: MIT
"""A user's program, for type checkers only: what it may write, and what they must refuse.

Each wrong use carries an ignore; strict checkers report an ignore that ignores nothing, so that a wrong use
that stops being an error fails the check (``make types``).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import assert_type
from uuid import UUID

from twisted.internet.defer import Deferred

import zlmdb.aio
from zlmdb import Database, LiveSet, MapOidOidSet, MapStringUuid, MapUuidCbor, Page, Schema, Transaction, table
from zlmdb.twisted import AsyncDatabase, AsyncMap, DatabaseService, RangeProducer


@dataclass
class User:
    oid: UUID
    name: str


@table("9e5a0f4e-6f8e-4d0a-9d3c-0d8b8a9f0001")
class Users(MapUuidCbor[User]): ...


@table("9e5a0f4e-6f8e-4d0a-9d3c-0d8b8a9f0002")
class UsersByName(MapStringUuid): ...


class Accounts(Schema):
    users: Users
    by_name: UsersByName

    def attach(self, db: Database) -> None:
        self.users = db.attach_table(Users)
        self.by_name = db.attach_table(UsersByName)
        self.users.attach_index("by_name", self.by_name, lambda user: user.name)
        self.users.attach_index("x", self.by_name, lambda user: user.nickname)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownLambdaType]


def synchronous(db: Database, user: User) -> None:
    accounts = assert_type(db.attach(Accounts), Accounts)
    with db.begin(write=True) as txn:
        assert_type(txn, Transaction)
        accounts.users[txn, user.oid] = user
        assert_type(accounts.users[txn, user.oid], User | None)
        assert_type(accounts.users.get((txn, user.oid), "default"), User | str)
        assert_type(accounts.by_name[txn, "joe"], UUID | None)
        assert_type(accounts.users.get_many(txn, [user.oid]), list[User | None])
        assert_type(accounts.users.replace(txn, user.oid, user), User)
        assert_type(MapOidOidSet(1)[txn, 1], LiveSet[int])
        assert_type(accounts.users.new_key(), UUID)
        for key, value in accounts.users.bound(txn).items():
            assert_type(key, UUID)
            assert_type(value, User)
        assert_type(iter(accounts.users.bound(txn)), Iterator[UUID])
        # refused:
        accounts.users[txn, "text"] = user  # type: ignore[index]  # pyright: ignore[reportArgumentType]
        accounts.users[txn, user.oid] = "text"  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
        accounts.users[user.oid]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
        accounts.by_name[txn, 5]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
        accounts.users.insert(txn, user.oid, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def asynchronous(db: AsyncDatabase, user: User) -> None:
    accounts = assert_type(await db.attach(Accounts), Accounts)
    users = assert_type(db.map(accounts.users), AsyncMap[UUID, User])
    assert_type(users.get(user.oid), Deferred[User | None])
    assert_type(await users.put(user.oid, user), None)
    assert_type(await users.delete(user.oid), bool)
    assert_type(await users.select(limit=5), list[tuple[UUID, User]])
    assert_type(await users.select(return_values=False), list[UUID])
    assert_type(await users.select(return_keys=False), list[User])
    assert_type(users.page(limit=5), Deferred[Page[UUID, User]])
    assert_type(users.iterate(), AsyncIterator[tuple[UUID, User]])
    assert_type(RangeProducer(users, lambda oid, user: user.name.encode(), None).start(), Deferred[int])
    assert_type(await DatabaseService("accounts.db").opened(), AsyncDatabase)

    def rename(txn: Transaction, oid: UUID, name: str) -> bool:
        return (txn, oid) in accounts.users

    assert_type(await db.write(rename, user.oid, "jim"), bool)
    # refused:
    await users.put("text", user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.put(user.oid, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await db.write(rename, user.oid)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def with_asyncio(user: User) -> None:
    async with zlmdb.aio.open_database("accounts.db", durability="queued", maxsize=1 << 30) as db:
        assert_type(db, zlmdb.aio.AsyncDatabase)
        accounts = assert_type(await db.attach(Accounts), Accounts)
        users = assert_type(db.map(accounts.users), zlmdb.aio.AsyncMap[UUID, User])
        assert_type(users.get(user.oid), asyncio.Future[User | None])
        assert_type(await users.put(user.oid, user, durability="commit"), None)
        assert_type(await users.select(limit=5), list[tuple[UUID, User]])
        assert_type(users.page(limit=5), asyncio.Future[Page[UUID, User]])
        assert_type(await asyncio.gather(users.get(user.oid), users.count()), tuple[User | None, int])
        async for oid, found in users.iterate():
            assert_type((oid, found), tuple[UUID, User])

        def rename(txn: Transaction, oid: UUID, name: str) -> bool:
            return (txn, oid) in accounts.users

        assert_type(await db.write(rename, user.oid, "jim"), bool)
        assert_type(await db.write(rename, user.oid, "jim", durability="queued"), None)
        assert_type(await db.read(rename, user.oid, "jim"), bool)
        assert_type(await db.close(deadline=5), int)
        # refused:
        await users.put("text", user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await users.put(user.oid, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await db.write(rename, user.oid)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        users.get(user.oid).addCallback(print)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
