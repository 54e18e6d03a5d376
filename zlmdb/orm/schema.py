# SPDX-License-Identifier: MIT
"""`Schema`: the tables of an application, attached to a database together."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from zlmdb.errors import TableDeclaration
from zlmdb.orm.map import Map
from zlmdb.orm.published import SchemaNames

if TYPE_CHECKING:
    from zlmdb.orm.database import Database

S = TypeVar("S", bound="Schema")


def check_attach(function: Callable[..., object]) -> None:
    """Raise `TableDeclaration` for a coroutine or generator function, whose call attaches nothing."""
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_kind(function) for is_kind in kinds):
        raise TableDeclaration(
            "attaching cannot wait for anything",
            where=getattr(function, "__qualname__", "attach"),
            got=function,
            expected="an ordinary function attach(self, db)",
        )


def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except Exception as exc:
        raise TableDeclaration(
            f"an annotation cannot be resolved: {exc}",
            where=cls.__qualname__,
            expected="map classes that can be found where the schema is declared",
            next_step="import them at runtime too, not under TYPE_CHECKING alone, or write attach(self, db)",
        ) from exc


class _Attach:
    """Makes ``attach`` work on the class and on an instance alike, and return the attached schema."""

    def __init__(self, function: Callable[[Any, Database], object]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, schema: Schema | None, cls: type[Schema]) -> Callable[[Database], Schema]:
        def attach(db: Database) -> Schema:
            attached = cls() if schema is None else schema
            self._function(attached, db)
            db.register_maps(attached)
            return attached

        return attach


class Schema(SchemaNames):
    """Derive a class, and attach its tables in ``attach(self, db)``.

    ``db.attach(MySchema)``, ``MySchema.attach(db)`` and ``MySchema().attach(db)`` give the attached schema.
    Without an ``attach`` of its own, a class attaches each annotated attribute whose type is a map class
    declared with ``@table``. Maps with a fixed slot that the schema holds are entered into the catalogue.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("attach")
        if own is not None and callable(own) and not isinstance(own, (staticmethod, classmethod, _Attach)):
            check_attach(own)
            setattr(cls, "attach", _Attach(own))  # noqa: B010  checkers see the method as it is written

    def _attach_annotated(self, db: Database) -> None:
        for name, hint in _hints(type(self)).items():
            if isinstance(hint, type) and issubclass(hint, Map):
                setattr(self, name, db.attach_table(hint))  # which says so if it was not declared with @table

    if TYPE_CHECKING:

        def attach(self, db: Database) -> Any:
            """Attach the tables to ``db``."""

    else:
        attach = _Attach(_attach_annotated)

    def maps(self) -> dict[str, Map[Any, Any]]:
        """Return the maps this schema holds, by attribute name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Map)}
