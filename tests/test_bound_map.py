# SPDX-License-Identifier: MIT
"""A map within a transaction behaves as a dict that keeps its keys sorted."""

from collections.abc import ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors

words = zlmdb.MapStringCbor(10)
sets = zlmdb.MapOidOidSet(11)
users = zlmdb.MapOidCbor(12)
by_name = zlmdb.MapStringOid(13)
users.attach_index("by_name", by_name, lambda user: user["name"])

keys = st.text(alphabet="ab\0é", max_size=2)
values = st.none() | st.integers(-9, 9) | st.lists(st.booleans(), max_size=2) | st.just("")
contents = st.dictionaries(keys, values, max_size=12)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zlmdb.Database]:
    with zlmdb.Database(tmp_path_factory.mktemp("bound"), sync=False) as db:
        yield db


@pytest.fixture
def txn(database: zlmdb.Database) -> Iterator[zlmdb.Transaction]:
    with database.begin(write=True) as txn:
        yield txn


def sorted_dict(content: dict) -> dict:
    return dict(sorted(content.items()))


def outcome(act, mapping):
    try:
        return act(mapping)
    except KeyError:
        return KeyError


@pytest.mark.parametrize("write", [False, True])
@given(content=contents, key=keys, value=values)
def test_the_views_are_those_of_a_sorted_dict(database, write: bool, content: dict, key: str, value: object) -> None:
    expected = sorted_dict(content)
    with database.begin(write=True) as txn:
        words.truncate(txn)
        words.put_many(txn, content.items())
    with database.begin(write=write) as txn:
        bound = words.bound(txn)
        assert isinstance(bound.keys(), KeysView)
        assert isinstance(bound.values(), ValuesView)
        assert isinstance(bound.items(), ItemsView)
        members = {"keys": [key], "values": [value], "items": [(key, value), (key,), key]}
        for view in ("keys", "values", "items"):
            ours, plain = getattr(bound, view)(), getattr(expected, view)()
            assert list(ours) == list(plain)
            assert list(reversed(ours)) == list(reversed(plain))
            assert len(ours) == len(plain)
            for member in (*members[view], 5, *plain):
                assert (member in ours) == (member in plain)
        assert bound.keys() == expected.keys()
        assert bound.keys() & {key} == expected.keys() & {key}
        assert bound.items() == expected.items()
        assert (list(bound), list(reversed(bound))) == (list(expected), list(reversed(expected)))
        assert (len(bound), bool(bound)) == (len(expected), bool(expected))
        assert bound == expected
        assert expected == bound
        assert bound != {**expected, "other": 1}
        assert (bound == {**expected, key: value}) == (expected == {**expected, key: value})
        assert bound != list(expected)


actions = st.one_of(
    st.builds(lambda k, v: ("set", lambda m: m.__setitem__(k, v)), keys, values),
    st.builds(lambda k: ("delete", lambda m: m.__delitem__(k)), keys),
    st.builds(lambda k: ("item", lambda m: m[k]), keys),
    st.builds(lambda k, v: ("get", lambda m: (m.get(k), m.get(k, v), k in m)), keys, values),
    st.builds(lambda k: ("pop", lambda m: m.pop(k)), keys),
    st.builds(lambda k, v: ("pop with default", lambda m: m.pop(k, v)), keys, values),
    st.builds(lambda k, v: ("setdefault", lambda m: m.setdefault(k, v)), keys, values),
    st.builds(lambda c: ("update from a mapping", lambda m: m.update(c)), contents),
    st.builds(lambda c: ("update from pairs", lambda m: m.update(iter(c.items()))), contents),
    st.builds(lambda c, v: ("update with names", lambda m: m.update(c, a=v)), contents, values),
    st.just(("clear", lambda m: m.clear())),
    st.just(("popitem", lambda m: m.popitem() if isinstance(m, zlmdb.BoundMap) else pop_first(m))),
)


def pop_first(content: dict) -> tuple:
    key = min(content, default=None)
    if key is None:
        raise KeyError
    return key, content.pop(key)


@given(st.lists(actions, max_size=15))
def test_every_operation_does_what_it_does_to_a_dict(database, steps: list) -> None:
    expected: dict = {}
    with database.begin(write=True) as txn:
        words.truncate(txn)
        bound = words.bound(txn)
        for name, act in steps:
            assert outcome(act, bound) == outcome(act, expected), name
        assert list(bound.items()) == sorted(expected.items())


def test_what_cannot_be_a_key_is_not_in_the_map_and_is_refused_elsewhere(txn) -> None:
    bound = words.bound(txn)
    assert 5 not in bound
    assert (5, 5) not in bound.items()
    assert 5 not in bound.keys()  # noqa: SIM118  the view is what is tested
    for use in (lambda: bound[5], lambda: bound.get(5), lambda: bound.pop(5, None), lambda: bound.update({5: 5})):
        with pytest.raises(errors.WrongType, match="MapStringCbor"):
            use()


def test_a_missing_key_is_a_key_error_that_names_it(txn) -> None:
    bound = words.bound(txn)
    bound.clear()
    for use in (lambda: bound["x"], lambda: bound.pop("x"), lambda: bound.__delitem__("x")):
        with pytest.raises(KeyError) as caught:
            use()
        assert isinstance(caught.value, errors.RecordMissing)
        assert "'x'" in str(caught.value)
    with pytest.raises(errors.RecordMissing, match="empty"):
        bound.popitem()


def test_views_read_what_is_there_when_they_are_used(txn) -> None:
    bound = words.bound(txn)
    bound.clear()
    items, stored = bound.items(), bound.values()
    bound["a"] = 1
    assert list(items) == [("a", 1)]
    assert 1 in stored
    assert next(iter(items)) == ("a", 1)


def test_indexes_are_kept_by_every_operation(txn) -> None:
    bound = users.bound(txn)
    bound.update({1: {"name": "one"}, 2: {"name": "two"}, 3: {"name": "three"}})
    assert list(by_name.bound(txn)) == ["one", "three", "two"]
    assert bound.popitem() == (1, {"name": "one"})
    bound.pop(2)
    assert dict(by_name.bound(txn).items()) == {"three": 3}
    bound.clear()
    assert not by_name.bound(txn)


def test_a_set_valued_map_gives_plain_sets_for_what_it_pops(txn) -> None:
    bound = sets.bound(txn)
    bound[1], bound[2] = {1, 2}, {3}
    assert {key: set(members) for key, members in bound.items()} == {1: {1, 2}, 2: {3}}
    assert bound.popitem() == (1, {1, 2})
    assert bound.pop(2) == {3}
    assert not bound
    with pytest.raises(KeyError):
        bound.pop(2)


def test_it_is_a_mutable_mapping_without_a_hash(txn) -> None:
    bound = words.bound(txn)
    assert isinstance(bound, MutableMapping)
    with pytest.raises(TypeError):
        hash(bound)


def test_a_read_transaction_refuses_writes(database) -> None:
    with database.begin() as txn:
        bound = words.bound(txn)
        for write in (lambda: bound.__setitem__("a", 1), lambda: bound.clear(), lambda: bound.update(a=uuid4())):
            with pytest.raises(zlmdb.errors.ReadonlyTransaction):
                write()
