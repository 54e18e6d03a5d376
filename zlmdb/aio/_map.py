# SPDX-License-Identifier: MIT
"""`AsyncMap`: a map whose operations return futures."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from zlmdb.orm import Page
from zlmdb.orm.map import MISSING
from zlmdb.orm.reading import Part
from zlmdb.workers import Durability, MapFace

K = TypeVar("K")
V = TypeVar("V")


class AsyncMap(MapFace[K, V]):
    """What `AsyncDatabase.map` returns: the operations of `MapFace`, which are described there, as futures."""

    if TYPE_CHECKING:  # what is awaited is a future

        def get(self, key: K) -> Future[V | None]: ...
        def contains(self, key: K) -> Future[bool]: ...
        def put(self, key: K, value: V, *, durability: Durability | None = None) -> Future[None]: ...
        def insert(self, key: K, value: V) -> Future[None]: ...
        def replace(self, key: K, value: V, *, expected: V = MISSING) -> Future[V]: ...
        def pop(self, key: K) -> Future[V | None]: ...
        def delete(self, key: K) -> Future[bool]: ...
        def get_many(self, keys: Iterable[K]) -> Future[list[V | None]]: ...
        def put_many(self, items: Iterable[tuple[K, V]], *, durability: Durability | None = None) -> Future[None]: ...
        def delete_many(self, keys: Iterable[K]) -> Future[int]: ...
        def count(self, prefix: Any = None) -> Future[int]: ...
        def truncate(self) -> Future[int]: ...
        @overload
        def select(
            self,
            from_key: K | Part | None = None,
            to_key: K | Part | None = None,
            *,
            prefix: Any = None,
            reverse: bool = False,
            limit: int | None = None,
        ) -> Future[list[tuple[K, V]]]: ...
        @overload
        def select(
            self,
            from_key: K | Part | None = None,
            to_key: K | Part | None = None,
            *,
            prefix: Any = None,
            reverse: bool = False,
            limit: int | None = None,
            return_values: Literal[False],
        ) -> Future[list[K]]: ...
        @overload
        def select(
            self,
            from_key: K | Part | None = None,
            to_key: K | Part | None = None,
            *,
            prefix: Any = None,
            reverse: bool = False,
            limit: int | None = None,
            return_keys: Literal[False],
        ) -> Future[list[V]]: ...
        @overload
        def select(
            self,
            from_key: K | Part | None = None,
            to_key: K | Part | None = None,
            *,
            prefix: Any = None,
            reverse: bool = False,
            limit: int | None = None,
            return_keys: bool = True,
            return_values: bool = True,
        ) -> Future[list[Any]]: ...
        def select(self, *args: Any, **options: Any) -> Future[list[Any]]: ...
        def page(
            self,
            from_key: K | Part | None = None,
            to_key: K | Part | None = None,
            *,
            prefix: Any = None,
            reverse: bool = False,
            limit: int = 100,
            after: str | None = None,
        ) -> Future[Page[K, V]]: ...
