# SPDX-License-Identifier: MIT
"""What could be stored as an event and not be read back is refused before anything is written."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag
from twisted.internet.task import Clock

import zlmdb
from tests.reactor_bench import error_of, run
from tests.test_event_history_store import started, stopped, store
from zlmdb import errors
from zlmdb_eventhistory import Event, EventHistory, Pattern


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


ITSELF: list[Any] = []
ITSELF += [ITSELF, ITSELF]
UNREADABLE: dict[str, Any] = {
    "no date": [CBORTag(0, "x")],
    "no reference": [CBORTag(29, 7)],
    "in itself, by reference": [CBORTag(28, [CBORTag(29, 0)])],
    "in itself": ITSELF,
    "deep down": {"a": [{"b": (1, {"c": CBORTag(1, 1e300)})}]},
    "as a key": {"a": {CBORTag(0, "x"): 1}},
    "not written again": [CBORTag(36, "x")],
    "nested too deeply to be read": nested(450),
    "nested too deeply to be written": nested(50_000),
    "nested too deeply, with something else": [decimal.Decimal(1), nested(5_000)],
    "no data": [object()],
    "no text": ["\ud800"],
}
FIELDS: dict[str, list[Any]] = {
    "args": ["abc", 5, {"a": 1}, {1}],
    "kwargs": [[1], "a", 5],
    "payload": ["x", 5, [1]],
    "realm": [3, b"r"],
    "publisher": ["7", 1.5, True],
    "publisher_authid": [3, ["a"]],
    "publisher_authrole": [False],
    "enc_algo": [1],
    "enc_key": [1],
    "enc_serializer": [b"cbor"],
    "acknowledge": [1, "yes"],
    "retain": [0],
    "exclude_me": ["no"],
    "exclude": [5, "abc", ["a"], [True], [CBORTag(0, "x")], {1}],
    "eligible": [[None]],
    "exclude_authid": ["joe", [1]],
    "eligible_authrole": [[b"a"]],
    "sequence": ["1"],
}
WRONG = [(name, value) for name, values in FIELDS.items() for value in values]


@pytest.fixture
def history(db: zlmdb.Database) -> EventHistory:
    history = db.attach(EventHistory)
    with db.begin(write=True) as txn:
        history.configure(txn, [Pattern("com.", "prefix", max_count=100)])
    return history


def event(publication: int = 1, **fields: Any) -> Event:
    return Event(**{"publication": publication, "topic": "com.a", "time_ns": 1, **fields})


def refuse(db: zlmdb.Database, history: EventHistory, wrong: Any) -> errors.EncodeError:
    """Append what is refused, and an event behind it, which has the first sequence."""
    with db.begin(write=True) as txn:
        with pytest.raises(errors.EncodeError) as caught:
            history.append(txn, wrong)
        assert history.append(txn, event(5)) == 1
        assert [each.publication for each in history.page(txn, max_bytes=1_000_000).events] == [5]
        assert history.problems(txn) == []
    assert db.check(history).ok
    return caught.value


@pytest.mark.parametrize("field", ["args", "kwargs"])
@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_content_that_cannot_be_read_back_is_refused(
    db: zlmdb.Database, history: EventHistory, field: str, content: Any
) -> None:
    error = refuse(db, history, event(**{field: {"a": content} if field == "kwargs" else [content]}))
    assert error.what
    assert error.expected


@pytest.mark.parametrize(("field", "value"), WRONG, ids=[f"{name}={value!r}" for name, value in WRONG])
def test_a_field_of_another_type_is_refused(db: zlmdb.Database, history: EventHistory, field: str, value: Any) -> None:
    error = refuse(db, history, event(**{field: value}))
    assert isinstance(error, errors.WrongType)
    assert error.where == field
    with pytest.raises(errors.WrongType):
        event(**{field: value}).storable()


def test_a_field_that_no_event_has_is_refused(db: zlmdb.Database, history: EventHistory) -> None:
    wrong: Any = event()
    wrong.note = 1
    assert refuse(db, history, wrong).where == "note"


@pytest.mark.parametrize("wrong", [None, {"publication": 1, "topic": "com.a", "time_ns": 1}, "com.a"])
def test_what_is_no_event_is_refused(db: zlmdb.Database, history: EventHistory, wrong: Any) -> None:
    assert isinstance(refuse(db, history, wrong), errors.WrongType)


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"args": (1, (2, [3]))}, {"args": [1, [2, [3]]]}),
        ({"args": [dt.date(2026, 1, 2), decimal.Decimal("1.5")]}, None),
        ({"args": [{1, 2}, {"a": {(1, 2): 3}}]}, None),
        ({"args": [2**200, -1.5, None, True, b"x"]}, None),
        ({"args": nested(390)}, None),
        ({"kwargs": {1: 2}}, None),
        ({"payload": bytearray(b"x")}, {"payload": b"x"}),
        ({"enc_key": b"x", "enc_algo": "cryptobox"}, None),
        ({"exclude": (1, 2), "eligible_authid": ["a"]}, {"exclude": [1, 2], "eligible_authid": ["a"]}),
        ({"topic": Name("com.b"), "realm": Name("r")}, {"topic": "com.b", "realm": "r"}),
        ({"args": [CBORTag(1_000, "x")]}, None),
    ],
)
def test_what_can_be_read_back_is_stored(
    db: zlmdb.Database, history: EventHistory, fields: dict[str, Any], read: dict[str, Any] | None
) -> None:
    given = event(**fields)
    before = dict(given.__dict__)
    with db.begin(write=True) as txn:
        assert history.append(txn, given) == 1
        assert history.page(txn).events == [event(**(fields if read is None else read)).placed(1, 1)]
    assert given.__dict__ == before


def test_the_store_fails_the_deferred_of_what_cannot_be_read_back(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        alone = store(reactor, tmp_path / "db", Clock())
        await started(alone)
        for wrong in (event(args=[CBORTag(0, "x")]), event(realm=3), event(args="abc")):
            assert isinstance(await error_of(alone.append(wrong)), errors.EncodeError)
        assert await alone.append(event(2)) == 1
        assert [each.publication for each in (await alone.page()).events] == [2]
        await stopped(alone)

    run(main)
