# SPDX-License-Identifier: MIT
"""Pages of a range, and bounds that are the first parts of a tuple key."""

import random
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors

numbers = zlmdb.MapOidOid(10)
words = zlmdb.MapStringOid(11)
pairs = zlmdb.MapUint16StringOid(12)
triples = zlmdb.MapStringUint8StringOid(13)
published = zlmdb.MapStringStringStringUuid(14)
sets = zlmdb.MapOidOidSet(15)
neighbours = (zlmdb.MapBytesOid(9), zlmdb.MapBytesOid(16))

small = st.integers(0, 3)
texts = st.text(alphabet="ab\0\1é", max_size=2)
no_nul = st.text(alphabet="ab\1é", max_size=2)
composite = {
    "pairs": (pairs, st.tuples(small, texts)),
    "triples": (triples, st.tuples(texts, small, texts)),
    "published": (published, st.tuples(no_nul, no_nul, no_nul)),
}


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("paging")
    with zlmdb.Database(path, sync=False, lib_version=request.param) as db:
        with db.begin(write=True) as txn:
            for neighbour in neighbours:
                for key in (b"", b"\0", b"\xff\xff"):
                    neighbour[txn, key] = 7
        yield db


def refill(db: zlmdb.Database, table, rows: dict) -> None:
    with db.begin(write=True) as txn:
        table.truncate(txn)
        table.put_many(txn, rows.items())


def all_pages(db: zlmdb.Database, table, write: bool = False, **query) -> list:
    pages, token = [], None
    while True:
        with db.begin(write=write) as txn:
            page = table.page(txn, **query, after=token)
        pages.append(page)
        if (token := page.token) is None:
            return pages


# --- pages


@pytest.mark.parametrize("write", [False, True])
@given(rows=st.dictionaries(texts, st.integers(0, 9), max_size=20), limit=st.integers(1, 8), data=st.data())
def test_the_pages_together_are_the_selection(database, write: bool, rows: dict, limit: int, data) -> None:
    refill(database, words, rows)
    bounds = {"from_key": data.draw(st.none() | texts), "to_key": data.draw(st.none() | texts)}
    bounds |= {"prefix": data.draw(st.none() | texts), "reverse": data.draw(st.booleans())}
    pages = all_pages(database, words, write, limit=limit, **bounds)
    with database.begin() as txn:
        assert [record for page in pages for record in page] == list(words.select(txn, **bounds))
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages) == 1 or len(pages[-1]) > 0  # no empty page at the end


@given(data=st.data(), reverse=st.booleans(), limit=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_record_that_stays_comes_exactly_once_whatever_is_written_between_the_pages(
    database, data, reverse: bool, limit: int, seed: int
) -> None:
    stay = data.draw(st.sets(st.integers(0, 60), max_size=20))
    others = [key for key in range(61) if key not in stay]
    rng = random.Random(seed)
    refill(database, numbers, dict.fromkeys([*stay, *rng.sample(others, len(others) // 2)], 1))
    seen, token = [], None
    while True:
        with database.begin() as txn:
            page = numbers.page(txn, reverse=reverse, limit=limit, after=token)
        seen += [key for key, _ in page]
        if (token := page.token) is None:
            break
        with database.begin(write=True) as txn:
            for key in rng.sample(others, 5):
                numbers[txn, key] = 2
            numbers.delete_many(txn, rng.sample(others, 5))
            if page.records[-1][0] in others and rng.random() < 0.5:
                del numbers[txn, page.records[-1][0]]  # the very record that the token names
    assert seen == sorted(set(seen), reverse=reverse)
    assert stay <= set(seen)


@given(members=st.dictionaries(small, st.sets(small, min_size=1), max_size=4), limit=st.integers(1, 3))
def test_pages_of_a_set_valued_map_hold_whole_plain_sets(database, members: dict, limit: int) -> None:
    refill(database, sets, members)
    for reverse in (False, True):
        pages = all_pages(database, sets, limit=limit, reverse=reverse)
        found = [record for page in pages for record in page]
        assert found == [(key, members[key]) for key in sorted(members, reverse=reverse)]
        assert all(type(value) is frozenset for _, value in found)
        assert len(pages) == 1 or len(pages[-1]) > 0


def test_a_set_that_grew_behind_a_page_does_not_come_again(database) -> None:
    refill(database, sets, {1: {1}, 2: {2}})
    with database.begin(write=True) as txn:
        page = sets.page(txn, limit=1)
        sets[txn, 1].update([5, 6])
        assert sets.page(txn, limit=1, after=page.token).records == [(2, {2})]


def test_paging_goes_on_after_the_database_was_opened_again(tmp_path: Path, lib_version: str) -> None:
    seen, token = [], None
    while True:
        with zlmdb.Database(tmp_path / "db", lib_version=lib_version) as db:
            if token is None:
                refill(db, words, dict.fromkeys("dacb", 0))
            with db.begin() as txn:
                page = words.page(txn, limit=1, after=token)
            seen += [key for key, _ in page.records]
            if (token := page.token) is None:
                break
    assert seen == ["a", "b", "c", "d"]


def test_a_page_outlives_a_transaction_of_views(database) -> None:
    blobs = zlmdb.MapOidBytes(20)
    refill(database, blobs, {1: b"one", 2: b"two"})
    with database.begin(buffers=True) as txn:
        page = blobs.page(txn)
    assert page.records == [(1, b"one"), (2, b"two")]


def test_keys_that_may_no_longer_be_written_can_be_paged(database) -> None:
    times = zlmdb.MapTimestampOid(21)
    with database.begin(write=True) as txn:
        for ns in (-2, -1):  # before 1970: existing files hold such keys
            txn.put(b"\0\x15" + ns.to_bytes(8, "big", signed=True), b"\0" * 8)
    pages = all_pages(database, times, limit=1)
    assert [int(key.astype(int)) for page in pages for key, _ in page] == [-2, -1]


# --- tokens


def test_a_token_is_url_safe_text(database) -> None:
    refill(database, words, {"\0\xff~?é" * 9 + letter: 1 for letter in "ab"})
    with database.begin() as txn:
        token = words.page(txn, limit=1).token
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")


def test_a_token_of_another_query_is_refused(database) -> None:
    refill(database, numbers, {key: key for key in range(9)})
    refill(database, words, {"a": 1, "b": 2, "ba": 3})
    with database.begin() as txn:
        token = numbers.page(txn, 1, 8, limit=2).token
        assert numbers.page(txn, 1, 8, limit=3, after=token).records == [(3, 3), (4, 4), (5, 5)]
        others = [
            lambda: numbers.page(txn, 1, after=token),
            lambda: numbers.page(txn, 0, 8, after=token),
            lambda: numbers.page(txn, 1, 8, reverse=True, after=token),
            lambda: zlmdb.MapOidOid(22).page(txn, 1, 8, after=token),
            lambda: zlmdb.MapOidString(10).page(txn, 1, 8, after=token),
            lambda: words.page(txn, after=token),
        ]
        for other in others:
            with pytest.raises(errors.BadToken, match="begin again"):
                other()
        prefixed = words.page(txn, prefix="b", limit=1).token
        with pytest.raises(errors.BadToken):
            words.page(txn, prefix="a", after=prefixed)


@given(st.data())
def test_garbage_is_no_token(database, data) -> None:
    refill(database, words, {"a": 1, "b": 2})
    with database.begin() as txn:
        token = words.page(txn, limit=1).token
        place = data.draw(st.integers(0, len(token) - 1))
        changed = token[:place] + data.draw(st.characters()) + token[place + 1 :]
        for garbage in (data.draw(st.text()), changed, token + "A", token[:-1], token + "=", "", 5, b"x", ["a"]):
            if garbage != token:
                with pytest.raises(errors.BadToken) as caught:
                    words.page(txn, after=garbage)
                assert isinstance(caught.value, ValueError)
                assert "MapStringOid (slot 11)" in str(caught.value)


@pytest.mark.parametrize("limit", [0, -1, 1.5, None, "3", True])
def test_a_page_has_room_for_a_record_at_least(database, limit) -> None:
    with database.begin() as txn, pytest.raises(errors.ConfigError):
        numbers.page(txn, limit=limit)


# --- bounds


@pytest.mark.parametrize("name", composite)
@given(data=st.data())
def test_a_bound_of_the_first_parts_compares_as_tuples_do(database, name: str, data) -> None:
    table, keys = composite[name]
    value = 1 if table is not published else zlmdb.MapUuidUuid(1).new_key()
    rows = data.draw(st.lists(keys, max_size=25, unique=True))
    refill(database, table, dict.fromkeys(rows, value))
    low, high = (data.draw(st.none() | keys.flatmap(leading_parts)) for _ in range(2))
    prefix = data.draw(st.none() | keys.map(lambda key: key[:1]))
    inside = sorted(key for key in rows if (low is None or key >= low) and (high is None or key < high))
    with database.begin() as txn:
        assert list(table.select(txn, low, high, return_values=False)) == inside
        assert list(table.select(txn, low, high, return_values=False, reverse=True)) == inside[::-1]
        assert table.count_range(txn, low, high) == len(inside)
        if prefix is not None:
            begun = [key for key in inside if key[:1] == prefix]
            assert list(table.select(txn, low, high, return_values=False, prefix=prefix)) == begun
            assert [key for key, _ in table.page(txn, low, high, prefix)] == begun
            assert table.count(txn, prefix) == sum(key[:1] == prefix for key in rows)


def leading_parts(key: tuple) -> st.SearchStrategy:
    return st.integers(0, len(key)).map(lambda count: key[:count])


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        (numbers, "1"),
        (numbers, (1,)),
        (words, 1),
        (words, b"a"),
        (words, ("a",)),
        (pairs, 1),
        (pairs, "a"),
        (pairs, [1]),
        (pairs, ("a",)),
        (pairs, (1, 2)),
        (pairs, (1, "a", 2)),
        (pairs, (70_000,)),
    ],
)
def test_bounds_and_prefixes_of_wrong_types_are_errors_that_name_the_map(database, table, wrong) -> None:
    with database.begin() as txn:
        uses = [
            lambda: table.select(txn, wrong),
            lambda: table.select(txn, to_key=wrong),
            lambda: table.select(txn, prefix=wrong),
            lambda: table.page(txn, wrong),
            lambda: table.count_range(txn, wrong, None),
            lambda: table.count_range(txn, None, wrong),
            lambda: table.count(txn, wrong),
            lambda: table.count(txn, prefix=wrong),
        ]
        for use in uses:
            with pytest.raises((errors.WrongType, errors.WrongValue)) as caught:
                use()
            assert table.title in str(caught.value)


def test_bounds_longer_than_any_key_of_the_file_are_bounds(database) -> None:
    refill(database, words, {"a": 1, "b": 2})
    with database.begin() as txn:
        assert list(words.select(txn, "a" * 3000, return_values=False)) == ["b"]
        assert list(words.select(txn, to_key="a" * 3000, reverse=True, return_values=False)) == ["a"]
        assert words.count_range(txn, "a" * 3000, "b" * 3000) == 1
