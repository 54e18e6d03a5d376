# SPDX-License-Identifier: MIT
"""`AsyncMap`: a map whose operations return Deferreds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from twisted.internet.defer import Deferred

from zlmdb.orm import Page
from zlmdb.orm.map import MISSING
from zlmdb.orm.reading import Part
from zlmdb.workers import Durability, MapFace

K = TypeVar("K")
V = TypeVar("V")


class AsyncMap(MapFace[K, V]):
    """What `AsyncDatabase.map` returns: the operations of `MapFace`, which are described there, as Deferreds."""

    if TYPE_CHECKING:  # what is awaited is a Deferred

        def get(self, key: K) -> Deferred[V | None]: ...
        def contains(self, key: K) -> Deferred[bool]: ...
        def put(self, key: K, value: V, *, durability: Durability | None = None) -> Deferred[None]: ...
        def insert(self, key: K, value: V) -> Deferred[None]: ...
        def replace(self, key: K, value: V, *, expected: V = MISSING) -> Deferred[V]: ...
        def pop(self, key: K) -> Deferred[V | None]: ...
        def delete(self, key: K) -> Deferred[bool]: ...
        def get_many(self, keys: Iterable[K]) -> Deferred[list[V | None]]: ...
        def put_many(self, items: Iterable[tuple[K, V]], *, durability: Durability | None = None) -> Deferred[None]: ...
        def delete_many(self, keys: Iterable[K]) -> Deferred[int]: ...
        def count(self, prefix: Any = None) -> Deferred[int]: ...
        def truncate(self) -> Deferred[int]: ...
        @overload
        def select(
            self,
            from_key: K | Part | None = None,
            to_key: K | Part | None = None,
            *,
            prefix: Any = None,
            reverse: bool = False,
            limit: int | None = None,
        ) -> Deferred[list[tuple[K, V]]]: ...
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
        ) -> Deferred[list[K]]: ...
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
        ) -> Deferred[list[V]]: ...
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
        ) -> Deferred[list[Any]]: ...
        def select(self, *args: Any, **options: Any) -> Deferred[list[Any]]: ...
        def page(
            self,
            from_key: K | Part | None = None,
            to_key: K | Part | None = None,
            *,
            prefix: Any = None,
            reverse: bool = False,
            limit: int = 100,
            after: str | None = None,
        ) -> Deferred[Page[K, V]]: ...
