# SPDX-License-Identifier: MIT
"""Live sets as sets: errors, operators and refusals, and nothing written by a statement that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zlmdb
from zlmdb import errors
from zlmdb.codecs import key_codec, value_codec

numbers = zlmdb.MapStringOidSet(24)
words: zlmdb.SetMap = zlmdb.SetMap(25, key=key_codec("String"), value=value_codec("StringSet"))


@pytest.fixture
def txn(db: zlmdb.Database) -> Iterator[zlmdb.Transaction]:
    with db.begin(write=True) as txn:
        numbers[txn, "a"] = {1, 2, 3}
        yield txn


def endless() -> Iterator[int]:
    yield 8
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda live: live.update([8, "text"]), errors.WrongType),
        (lambda live: live.update(8), errors.WrongType),
        (lambda live: live.update(endless()), ZeroDivisionError),
        (lambda live: live.__ior__({8, -1}), errors.WrongValue),
        (lambda live: live.add(None), errors.WrongType),
        (lambda live: live.remove(9), errors.RecordMissing),
        (lambda live: live.discard("text"), errors.WrongType),
    ],
)
def test_a_statement_that_fails_changes_nothing(
    txn: zlmdb.Transaction, use: Callable[[zlmdb.LiveSet], object], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        use(numbers[txn, "a"])
    if isinstance(caught.value, errors.ZlmdbError):
        assert "slot 24" in str(caught.value)
    assert list(numbers[txn, "a"]) == [1, 2, 3]


def test_a_missing_member_is_a_key_error_that_names_the_set(txn: zlmdb.Transaction) -> None:
    for use in (lambda: numbers[txn, "a"].remove(9), lambda: numbers[txn, "none"].pop()):
        with pytest.raises(KeyError) as caught:
            use()
        assert isinstance(caught.value, errors.RecordMissing)
        assert "MapStringOidSet" in str(caught.value)


def test_members_are_popped_in_order(txn: zlmdb.Transaction) -> None:
    live = numbers[txn, "a"]
    assert [live.pop() for _ in range(3)] == [1, 2, 3]
    assert not live


def test_operators_in_place_write_to_the_set(txn: zlmdb.Transaction) -> None:
    live = numbers[txn, "a"]
    live |= {5, 4}
    live &= {1, 4, 5, 6}
    live -= {5}
    live ^= {1, 7}
    assert list(numbers[txn, "a"]) == [4, 7]
    live |= live
    live -= live
    assert list(live) == []


def test_operators_between_sets_give_plain_ones(txn: zlmdb.Transaction) -> None:
    numbers[txn, "b"] = {3, 4}
    a, b = numbers[txn, "a"], numbers[txn, "b"]
    for result, expected in ((a | b, {1, 2, 3, 4}), (a & b, {3}), (a - b, {1, 2}), (a ^ b, {1, 2, 4})):
        assert type(result) is set
        assert result == expected
    assert a > {1}
    assert not a.isdisjoint(b)


@pytest.mark.parametrize(
    "write",
    [
        lambda txn: numbers[txn, "a"].add(1),
        lambda txn: numbers[txn, "a"].discard(9),
        lambda txn: numbers[txn, "a"].remove(1),
        lambda txn: numbers[txn, "a"].pop(),
        lambda txn: numbers[txn, "none"].clear(),
        lambda txn: numbers.__setitem__((txn, "a"), {1, 2, 3}),
        lambda txn: numbers.__setitem__((txn, "none"), set()),
        lambda txn: numbers.__delitem__((txn, "none")),
        lambda txn: numbers.pop((txn, "none")),
        lambda txn: zlmdb.MapOidOid(26).truncate(txn),
    ],
)
def test_a_read_transaction_refuses_writes_that_would_change_nothing_too(
    db: zlmdb.Database, write: Callable[[zlmdb.Transaction], Any]
) -> None:
    with db.begin(write=True) as txn:
        numbers[txn, "a"] = {1, 2, 3}
    with db.begin() as txn:
        with pytest.raises(errors.ReadonlyTransaction):
            write(txn)
        assert list(numbers[txn, "a"]) == [1, 2, 3]


def test_members_of_any_length_are_told_apart_from_their_key(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        for key in ("", "a", "a\0", "ab"):
            words[txn, key] = {"", "b", "\0", "a\0b"}
        for key in ("", "a", "a\0", "ab"):
            assert list(words[txn, key]) == ["", "\0", "a\0b", "b"]


@pytest.mark.parametrize("buffers", [False, True])
def test_a_member_that_cannot_be_read_is_named(db: zlmdb.Database, buffers: bool) -> None:
    with db.begin(write=True) as txn:
        numbers[txn, "a"] = {1, 2}
        txn.put(numbers.raw_set("a")[0] + b"\xff", b"")
    with db.begin(buffers=buffers) as txn:
        with pytest.raises(errors.DecodeError) as caught:
            list(numbers[txn, "a"])
        assert (caught.value.map, caught.value.slot) == ("MapStringOidSet", 24)
        assert list(numbers.select(txn, return_values=False)) == ["a"]


def test_a_live_set_ends_with_its_transaction(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        live = numbers[txn, "a"]
        live.add(1)
    for use in (lambda: list(live), lambda: len(live), lambda: 1 in live, lambda: live.add(2), live.clear, live.pop):
        with pytest.raises(errors.TransactionFinished):
            use()
    assert "MapStringOidSet" in repr(live)
