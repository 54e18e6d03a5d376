# SPDX-License-Identifier: MIT
"""Events as columns: NumPy arrays and Arrow tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from zlmdb.errors import ConfigError, MissingDependency, WrongValue
from zlmdb_eventhistory._event import Event

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_TIME: Final = "time"
_DEFAULT: Final = ("sequence", _TIME, "publication", "topic", "publisher")
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Event))
_EXACT: Final = 1 << 53  # beyond it not every integer has a float64
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1

Columns = dict[str, list[Any]]


def read(
    events: Iterable[Event], fields: Sequence[str] | None, columns: Mapping[str, Callable[[Event], Any]] | None
) -> Columns:
    """Return the columns that are asked for; raise `ConfigError` for fields that are none."""
    readers = _readers(fields, columns)
    found: Columns = {name: [] for name in readers}
    ways = [(found[name].append, reader) for name, reader in readers.items()]
    for event in events:
        for add, reader in ways:
            add(reader(event))
    return found


def _readers(
    fields: Sequence[str] | None, columns: Mapping[str, Callable[[Event], Any]] | None
) -> dict[str, Callable[[Event], Any]]:
    chosen: Any = _DEFAULT if fields is None else fields
    if isinstance(chosen, str) or not all(name == _TIME or name in _FIELDS for name in chosen):
        raise ConfigError(
            "not fields of an event",
            where="event history",
            got=fields,
            expected=f"a list of some of {_TIME}, {', '.join(_FIELDS)}",
        )
    readers: dict[str, Callable[[Event], Any]] = {
        name: attrgetter("time_ns" if name == _TIME else name) for name in chosen
    }
    given: Mapping[Any, Any] = columns or {}
    for name, function in given.items():
        if not isinstance(name, str) or name in readers or not callable(function):
            raise ConfigError(
                "not a column", where="event history", got=(name, function), expected="another name, and a function"
            )
        readers[name] = function
    return readers


def arrays(columns: Columns) -> dict[str, NDArray[Any]]:
    """Return columns as NumPy arrays; see `EventHistory.arrays`."""
    try:
        import numpy as np
    except ImportError as exc:
        raise _missing("numpy", "numpy") from exc
    found: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        if name == _TIME:
            if values and max(values) >= 2**63:
                raise WrongValue(
                    "a time has no datetime64[ns]", where="event history", got=max(values), expected="one before 2262"
                )
            found[name] = np.array(values, "int64").view("M8[ns]")
        else:
            dtype = _dtype(values)
            found[name] = array = np.empty(len(values), dtype)
            array[:] = [float("nan") if value is None else value for value in values] if dtype == "float64" else values
    return found


def _dtype(values: Sequence[Any]) -> str:
    kinds = set(map(type, values))
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        low, high = min(values), max(values)
        return "int64" if low >= _SMALLEST and high < 2**63 else "uint64" if low >= 0 and high <= _LARGEST else "object"
    if kinds <= {int, float, NoneType} and kinds & {int, float} and all(map(_is_exact, values)):
        return "float64"
    return "object"


def _is_exact(value: float | None) -> bool:
    return type(value) is not int or -_EXACT <= value <= _EXACT


def table(columns: Columns) -> pa.Table:
    """Return columns as an Arrow table; raise `WrongValue` naming one whose values have no common type."""
    try:
        import pyarrow as pa
    except ImportError as exc:
        raise _missing("pyarrow", "arrow") from exc
    found = {}
    for name, values in columns.items():
        try:
            found[name] = pa.array(values, pa.timestamp("ns")) if name == _TIME else _array(pa, values)
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as exc:
            raise WrongValue(
                f"the column {name!r} has no Arrow form: {exc}",
                where="event history",
                got=sorted({type(value).__name__ for value in values}),
                expected="values of one type",
                next_step="leave the column out, or give a function of the event that makes them one type",
            ) from exc
    return pa.table(found)


def _array(pa: Any, values: list[Any]) -> Any:
    kinds = set(map(type, values)) - {NoneType}
    if kinds == {int} and max(value for value in values if value is not None) >= 2**63:
        return pa.array(values, pa.uint64())
    return pa.array(values)


def _missing(library: str, extra: str) -> MissingDependency:
    return MissingDependency(
        f"{library} is not installed", where="event history", next_step=f"pip install zlmdb[{extra}]", extra=extra
    )
