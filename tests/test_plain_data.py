# SPDX-License-Identifier: MIT
"""Data of somebody else's: whether they can be written as CBOR and read back is told before they are stored."""

from __future__ import annotations

import datetime as dt
import decimal
import threading
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from zlmdb import errors
from zlmdb.codecs import as_read, encoded_size, is_plain, read_back

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


def nested(levels: int, kind: str = "list") -> Any:
    found: Any = 0
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
    for whole in (value, [value], {"a": (1, {"b": value})}, [nested(450), value]):
        assert not is_plain(whole)


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_what_nests_too_deeply_is_refused_before_the_encoder_sees_it(kind: str) -> None:
    for levels in (3_000, 100_000):
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


def test_what_contains_itself_is_refused_and_what_is_contained_twice_is_not() -> None:
    itself: list[Any] = []
    itself += [itself, itself]
    with pytest.raises(errors.WrongValue):
        as_read(itself)
    with pytest.raises(errors.WrongValue):
        as_read([itself, decimal.Decimal(1)])
    twice = [1]
    assert as_read([twice, {"a": twice}]) == [[1], {"a": [1]}]


def test_a_copy_has_nothing_in_common_with_what_it_is_of() -> None:
    inner = [1]
    copy = as_read({"a": inner})
    inner.append(2)
    assert copy == {"a": [1]}
