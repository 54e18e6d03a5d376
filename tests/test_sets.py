# SPDX-License-Identifier: MIT
"""Set-valued maps: one record for each member."""

import tempfile
from collections.abc import Iterator, MutableSet
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors

sets = zlmdb.MapStringOidSet(20)
pairs = zlmdb.MapUint16StringOidSet(21)
texts = st.text(alphabet="ab\0", max_size=2)
members = st.integers(0, 9)


@pytest.fixture(scope="module")
def database() -> Iterator[zlmdb.Database]:
    with tempfile.TemporaryDirectory() as path, zlmdb.Database(path, sync=False) as db:
        yield db


operations = st.one_of(
    st.tuples(st.sampled_from(["add", "discard", "remove"]), texts, members),
    st.tuples(st.sampled_from(["assign", "update"]), texts, st.sets(members, max_size=5)),
    st.tuples(st.sampled_from(["clear", "del", "pop"]), texts),
)


def perform(txn: zlmdb.Transaction, model: dict, operation: tuple) -> None:
    what, key, *args = operation
    stored, expected = sets[txn, key], model.setdefault(key, set())
    if what == "remove" and args[0] not in expected:
        with pytest.raises(KeyError):
            stored.remove(*args)
    elif what in {"add", "discard", "remove", "update", "clear"}:
        getattr(stored, what)(*args)
        getattr(expected, what)(*args)
    elif what == "assign":
        sets[txn, key] = args[0]
        model[key] = set(args[0])
    elif what == "del":
        del sets[txn, key]
        model[key] = set()
    else:
        assert sets.pop((txn, key), "none") == (expected or "none")
        model[key] = set()


@given(history=st.lists(operations, max_size=20))
def test_live_sets_equal_a_dictionary_of_sets(database, history: list[tuple]) -> None:
    model: dict = {}
    with database.begin(write=True) as txn:
        sets.truncate(txn)
        for operation in history:
            perform(txn, model, operation)
    filled = {key: value for key, value in sorted(model.items()) if value}
    for write in (False, True):
        with database.begin(write=write) as txn:
            assert [(key, list(value)) for key, value in sets.select(txn)] == [
                (key, sorted(value)) for key, value in filled.items()
            ]
            assert list(sets.select(txn, reverse=True, return_values=False)) == list(filled)[::-1]
            assert sets.count(txn) == len(filled)
            assert sets.count_members(txn) == sum(map(len, filled.values()))
            for key, expected in model.items():
                assert sets[txn, key] == expected
                assert len(sets[txn, key]) == len(expected)
                assert ((txn, key) in sets) == bool(sets[txn, key]) == bool(expected)
            for prefix in ("a", "a\0", ""):
                assert list(sets.select(txn, prefix=prefix, return_values=False)) == [
                    key for key in filled if key.startswith(prefix)
                ]
            assert list(sets.select(txn, "a", "b", return_values=False)) == [key for key in filled if "a" <= key < "b"]


def test_a_live_set_is_a_mutable_set_that_gives_plain_ones(database) -> None:
    with database.begin(write=True) as txn:
        live = sets[txn, "x"]
        assert isinstance(live, MutableSet)
        live |= {3, 1, 2}
        assert live & {1, 9} == {1}
        assert type(live | {4}) is set
        assert 1 in live
        assert "text" not in live
        assert sets.get((txn, "none"), "d") == "d"
        del sets[txn, "x"]


def test_composite_keys_have_sets_too(database) -> None:
    with database.begin(write=True) as txn:
        pairs[txn, (1, "a")].update([2, 1])
        pairs[txn, (1, "b")].add(3)
        pairs[txn, (2, "a")].add(4)
        assert [(key, list(value)) for key, value in pairs.select(txn, prefix=(1,))] == [
            ((1, "a"), [1, 2]),
            ((1, "b"), [3]),
        ]


def test_adding_to_a_large_set_writes_one_record(database) -> None:
    with database.begin(write=True) as txn:
        sets[txn, "large"] = set(range(20000))
    stats = zlmdb.TransactionStats()
    with database.begin(write=True, stats=stats) as txn:
        sets[txn, "large"].add(20000)
        assert len(sets[txn, "large"]) == 20001
        del sets[txn, "large"]
    assert stats.puts == 1


@pytest.mark.parametrize(
    "faulty",
    [
        lambda txn: sets[txn, 1],
        lambda txn: sets[txn, "a"].add("text"),
        lambda txn: sets.__setitem__((txn, "a"), [1, "text"]),
        lambda txn: sets.__setitem__((txn, "a"), 5),
        lambda txn: sets[txn, "a" * 3000].add(1),
        lambda txn: pairs[txn, (1,)],
        lambda txn: sets.insert(txn, "a", {1}),
        lambda txn: sets.attach_index("x", zlmdb.MapOidOid(3), len),
    ],
)
def test_wrong_keys_members_and_operations_are_refused_and_change_nothing(database, faulty) -> None:
    with database.begin(write=True) as txn:
        sets[txn, "a"] = {7}
        with pytest.raises((errors.DataError, errors.SchemaError)):
            faulty(txn)
        assert sets[txn, "a"] == {7}
        del sets[txn, "a"]


def test_members_of_uuid_sets_are_ordered(database) -> None:
    uuids = zlmdb.MapUuidUuidSet(22)
    with database.begin(write=True) as txn:
        uuids[txn, UUID(int=1)].update(UUID(int=n) for n in (9, 3, 5))
        assert list(uuids[txn, UUID(int=1)]) == [UUID(int=3), UUID(int=5), UUID(int=9)]


def test_a_set_valued_map_takes_a_compression_and_has_nothing_to_compress(database) -> None:
    compressed = zlmdb.MapOidOidSet(23, compress="zlib")
    with database.begin(write=True) as txn:
        compressed[txn, 1].add(2)
        assert list(compressed[txn, 1]) == [2]
    assert compressed.kind == zlmdb.MapOidOidSet(23).kind
