# SPDX-License-Identifier: MIT
"""What a function run in a transaction may return: what it has read, and nothing that reads later."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest

import zlmdb
from zlmdb import errors

words = zlmdb.MapStringString(7)
tags = zlmdb.MapUuidUuidSet(8)
A = UUID(int=1)


async def later(txn: zlmdb.Transaction) -> AsyncIterator[int]:
    yield 1


UNREAD: dict[str, Callable[[zlmdb.Transaction], Any]] = {
    "select": lambda txn: words.select(txn),
    "generator": lambda txn: (key for key, _ in words.select(txn)),
    "zip": lambda txn: zip(words.select(txn), itertools.count(), strict=False),
    "map": lambda txn: map(str, words.select(txn)),
    "filter": lambda txn: filter(None, words.select(txn)),
    "islice": lambda txn: itertools.islice(words.select(txn), 1),
    "chain": lambda txn: itertools.chain(words.select(txn)),
    "enumerate": lambda txn: enumerate(words.select(txn)),
    "live set": lambda txn: tags[txn, A],
    "bound map": lambda txn: words.bound(txn),
    "view": lambda txn: words.bound(txn).items(),
}


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("what", UNREAD)
def test_a_result_that_reads_later_is_refused_with_advice(db: zlmdb.Database, what: str, write: bool) -> None:
    with pytest.raises(errors.WrongType, match="make a list") as caught:
        db.run(UNREAD[what], write=write)
    assert "fn(txn, *args)" in str(caught.value)


def test_what_a_refused_function_wrote_is_undone(db: zlmdb.Database) -> None:
    def function(txn: zlmdb.Transaction) -> Any:
        words[txn, "a"] = "x"
        return zip(words.select(txn), "a", strict=True)

    with pytest.raises(errors.WrongType):
        db.run(function, write=True)
    with db.begin() as txn:
        assert words[txn, "a"] is None


def test_a_result_that_has_yet_to_be_awaited_is_refused(db: zlmdb.Database) -> None:
    with pytest.raises(errors.WrongType, match="cannot wait"):
        db.run(lambda txn: later(txn))


@pytest.mark.parametrize(
    "result",
    [None, [1], (1,), {1}, frozenset({1}), {"a": 1}, "text", b"bytes", range(3)],
    ids=lambda each: type(each).__name__,
)
def test_plain_values_are_returned_as_they_are(db: zlmdb.Database, result: object) -> None:
    assert db.run(lambda txn: result) is result
