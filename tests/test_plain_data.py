# SPDX-License-Identifier: MIT
"""Data of somebody else's: whether they can be written as CBOR and read back is told before they are stored."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import threading
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors
from zlmdb.codecs import as_read, encoded_size, is_plain, read_back
from zlmdb_cookiestore import BlockingCookieStore, CookieStoreConfig
from zlmdb_eventhistory import Event, EventHistory
from zlmdb_realmstore import Session
from zlmdb_realmstore._storable import storable_session

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


def nested(levels: int, kind: str = "list", innermost: Any = 0) -> Any:
    found = innermost
    for _ in range(levels):
        found = {"list": [found], "tuple": (found,), "dict": {"a": found}}[kind]
    return found


@given(PLAIN)
def test_what_is_plain_comes_back_as_cbor_gives_it(value: Any) -> None:
    assert is_plain(value)
    assert as_read(value) == cbor2.loads(cbor2.dumps(value))
    assert read_back(value)[1] == encoded_size(value) == len(cbor2.dumps(value))


@pytest.mark.parametrize("value", [CBORTag(1_000, 1), decimal.Decimal(1), dt.date(2026, 1, 2), threading.Lock()])
def test_other_objects_are_not_plain_wherever_they_are(value: Any) -> None:
    for whole in (value, [value], {"a": (1, {"b": value})}, [nested(390), value]):
        assert not is_plain(whole)


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_what_nests_too_deeply_is_refused_before_the_encoder_sees_it(kind: str) -> None:
    for levels in (401, 450, 3_000, 100_000):
        with pytest.raises(errors.WrongValue, match="nested too deeply"):
            is_plain(nested(levels, kind))
        with pytest.raises(errors.WrongValue, match="nested too deeply"):
            as_read([decimal.Decimal(1), nested(levels, kind)])


@pytest.mark.parametrize(
    "value",
    [CBORTag(0, "x"), CBORTag(29, 7), CBORTag(36, "x"), CBORTag(27, ["a", {}]), nested(450), "\ud800", object()],
)
def test_what_does_not_come_back_is_refused(value: Any) -> None:
    with pytest.raises(errors.WrongValue, match="cannot be stored"):
        read_back({"a": [value]})


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_what_is_nested_as_deeply_as_can_be_read_is_plain(kind: str) -> None:
    for innermost in ("a", [], {}):
        value = nested(400 if innermost == "a" else 399, kind, innermost)
        assert is_plain(value)
        assert encoded_size(as_read(value)) == encoded_size(value)
    for innermost in ([], {}, [1], CBORTag(1_000, [1])):
        with pytest.raises(errors.WrongValue, match="nested too deeply"):
            is_plain(nested(400, kind, innermost))


@pytest.mark.parametrize(
    "value",
    [
        memoryview(b"xy"),
        array.array("i", [1]),
        bytearray(b"xy"),
        ...,
        "\ud800",
        "x" * 100 + "\udfff",
        {1},
        frozenset({1}),
        1j,
        (lambda: 0).__code__,
        StopIteration,
        range(3),
        collections.OrderedDict(a=1),
        type("Text", (str,), {})("a"),
        type("Number", (int,), {})(1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cbor_does_not_give_back_as_it_is_is_not_plain(value: Any) -> None:
    for whole in (value, [value], (1, {"b": [value]}), nested(400, "list", value)):
        if not isinstance(value, (set, frozenset, dict)) or whole is value:
            assert not is_plain(whole)
    if value.__hash__:
        assert not is_plain({value: 1})


def doubled(inner: Any, times: int, kind: str) -> Any:
    """What a message of six bytes for each time is decoded to."""
    make: dict[str, Callable[[Any], Any]] = {
        "list": lambda part: [part, part],
        "tuple": lambda part: (part, part),
        "dict": lambda part: {"a": part, "b": part},
        "tag": lambda part: CBORTag(1_000, [part, part]),
        "set": lambda part: frozenset({(1, part), (2, part)}),
        "mapping": lambda part: MappingProxyType({"a": part, "b": part}),
        "deque": lambda part: collections.deque([part, part]),
    }
    for _ in range(times):
        inner = make[kind](inner)
    return inner


@pytest.mark.parametrize("kind", ["list", "tuple", "dict", "tag", "set", "mapping", "deque"])
def test_what_multiplies_when_it_is_written_is_refused_before_it_is(kind: str) -> None:
    # each level of a set hashes all that is below it, so there are no more
    value = doubled(1, 17 if kind == "set" else 150, kind)
    for read in (is_plain, as_read):
        with pytest.raises(errors.WrongValue, match="contained again and again"):
            read({"a": value})


@pytest.mark.parametrize(
    "part", ["x" * 100_000, "ä" * 100_000, b"x" * 100_000, 1 << 800_000, decimal.Decimal("1" * 100_000)], ids=type
)
def test_a_large_part_is_not_written_thousands_of_times(part: Any) -> None:
    with pytest.raises(errors.WrongValue, match="contained again and again"):
        is_plain([part] * 1_000)
    assert len(as_read([part] * 10)) == 10


def test_a_message_of_a_few_bytes_with_references_is_refused() -> None:
    message = b"\xd8\x1c\x81\x01"
    for place in range(30):
        message = b"\xd8\x1c\x82" + message + b"\xd8\x1d\x18" + bytes([30 - place])
    value = cbor2.loads(message)
    with pytest.raises(errors.WrongValue, match="contained again and again"):
        as_read(value)


def test_many_parts_that_are_contained_once_are_no_hindrance() -> None:
    assert is_plain([[number, f"{number:0100}"] for number in range(200_000)])
    row = ["a", 1]
    assert is_plain([row] * 10_000)


def test_what_contains_itself_is_refused_and_what_is_contained_twice_is_not() -> None:
    itself: list[Any] = []
    itself += [itself, itself]
    with pytest.raises(errors.WrongValue):
        as_read(itself)
    lonely: list[Any] = []
    lonely.append(lonely)
    for value in (itself, lonely):
        with pytest.raises(errors.WrongValue):
            is_plain(value)
    with pytest.raises(errors.WrongValue):
        as_read([itself, decimal.Decimal(1)])
    twice = [1]
    assert as_read([twice, {"a": twice}]) == [[1], {"a": [1]}]


def test_a_copy_has_nothing_in_common_with_what_it_is_of() -> None:
    inner = [1]
    copy = as_read({"a": inner})
    inner.append(2)
    assert copy == {"a": [1]}


def doubled_list() -> dict[str, Any]:
    return {"a": doubled("x", 60, "list")}


def test_no_store_writes_what_multiplies_when_it_is_written(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        history = db.attach(EventHistory)
        for fields in (
            {"args": [doubled_list()]},
            {"kwargs": doubled_list()},
            {"eligible_authid": ["x" * 10_000] * 999},
        ):
            event = Event(publication=1, topic="a", time_ns=1, **fields)
            with pytest.raises(errors.WrongValue), db.begin(write=True) as txn:
                history.append(txn, event)
            with pytest.raises(errors.WrongValue) as caught:
                event.weighed()
            assert len(str(caught.value)) < 1_000
    stored, size, lost = storable_session(Session(authextra=doubled_list(), transport=doubled_list()), 511, None)
    assert (stored.authextra, stored.transport, lost) == (None, None, ["authextra", "transport"])
    assert size < 1_000


def test_a_cookie_takes_no_data_that_multiply_when_they_are_written(tmp_path: Path) -> None:
    with BlockingCookieStore(CookieStoreConfig(path=str(tmp_path / "db"))) as store:
        value = store.create().value
        for times in (50, 70):
            with pytest.raises(errors.WrongValue):
                store.update_data(value, {"a": doubled(1, times, "list")})
