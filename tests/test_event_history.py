# SPDX-License-Identifier: MIT
"""The event history: every event once, in order, whatever is asked for and whatever is appended meanwhile."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from tests.crash.processes import run_python
from tests.reactor_bench import error_of, run
from zlmdb import errors
from zlmdb.plugins import Context, check
from zlmdb.twisted import open_database
from zlmdb_eventhistory import Config, Event, EventHistory, EventHistoryStore, Page, Subscription, matches, plugin

TOPICS = ["com.a", "com.a.b", "com.b.b", "org.a.b", "com.a.c.d"]
PATTERNS = [(topic, "exact") for topic in [*TOPICS, "com.none"]]
PATTERNS += [("com.", "prefix"), ("com.a", "prefix"), ("", "prefix"), ("com..b", "wildcard"), (".a.b", "wildcard")]
PATTERNS += [("..", "wildcard")]


@pytest.fixture
def history(db: zlmdb.Database) -> EventHistory:
    return db.attach(EventHistory)


def event(publication: int, topic: str = "com.a", time_ns: int = 1000, **fields: Any) -> Event:
    return Event(publication=publication, topic=topic, time_ns=time_ns, **fields)


def append(db: zlmdb.Database, history: EventHistory, *events: Event) -> list[int]:
    with db.begin(write=True) as txn:
        return [history.append(txn, each) for each in events]


def pages(db: zlmdb.Database, history: EventHistory, **query: Any) -> Iterator[Page]:
    """Follow the tokens, each page in a transaction of its own."""
    token = None
    while True:
        with db.begin() as txn:
            page = history.page(txn, after=token, **query)
        yield page
        if (token := page.token) is None:
            return


def publications(found: Iterator[Page] | list[Page]) -> list[int]:
    return [each.publication for page in found for each in page.events]


def check_indexes(db: zlmdb.Database, history: EventHistory) -> None:
    """Compare each index with the dictionary that the table makes."""
    with db.begin() as txn:
        rows: dict[int, Event] = dict(history.events.select(txn))
        assert all(each.sequence == key for key, each in rows.items())
        assert dict(history.by_publication.select(txn)) == {each.publication: key for key, each in rows.items()}
        assert dict(history.by_topic.select(txn)) == {(each.topic, key): key for key, each in rows.items()}
        by_publisher = {(each.publisher, key): key for key, each in rows.items() if each.publisher is not None}
        assert dict(history.by_publisher.select(txn)) == by_publisher
        clocks = itertools.accumulate((rows[key].time_ns for key in sorted(rows)), max)
        by_time = [((clock, key), key) for clock, key in zip(clocks, sorted(rows), strict=True)]
        assert list(history.by_time.select(txn)) == by_time


# --- appending


def test_sequences_count_from_one_and_equal_times_overwrite_nothing(db: zlmdb.Database, history: EventHistory) -> None:
    assert append(db, history, *(event(n, time_ns=5) for n in range(10))) == list(range(1, 11))
    assert append(db, history, event(99, time_ns=5)) == [11]
    assert publications(pages(db, history)) == [*range(10), 99]
    check_indexes(db, history)


def test_every_field_survives(db: zlmdb.Database, history: EventHistory) -> None:
    full = event(
        2**53,
        publisher=2**53,
        publisher_authid="joe",
        publisher_authrole="user",
        realm="realm1",
        args=[],
        kwargs={},
        payload=b"",
        enc_algo="cryptobox",
        enc_key="key",
        enc_serializer="cbor",
        acknowledge=True,
        retain=False,
        exclude_me=False,
        exclude=[1, 2, 2**53],
        exclude_authid=["a"],
        exclude_authrole=[],
        eligible=[2**53],
        eligible_authid=["b", ""],
        eligible_authrole=["c"],
    )
    append(db, history, full, event(1))
    with db.begin() as txn:
        assert history.get(txn, 2**53) == full.placed(1, 1000)
        assert history.get(txn, 1) == event(1, sequence=2, clock_ns=1000)
        assert history.get(txn, 3) is None
    assert full.sequence == 0


def test_a_publication_id_is_taken_once(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, event(7))
    with db.begin(write=True) as txn:
        with pytest.raises(errors.UniqueViolation) as caught:
            history.append(txn, event(7, topic="com.b", time_ns=1))
        assert (caught.value.key, caught.value.owner) == (7, 1)
        assert history.append(txn, event(8)) == 2
    check_indexes(db, history)


@pytest.mark.parametrize(
    "bad",
    [event(1, args=[object()]), event(-1), event(1, topic=None), event(1, topic="x" * 2000), event(1, time_ns=-1)],
)
def test_what_cannot_be_stored_leaves_nothing(db: zlmdb.Database, history: EventHistory, bad: Event) -> None:
    with db.begin(write=True) as txn, pytest.raises(errors.DataError):
        history.append(txn, bad)
    check_indexes(db, history)
    assert publications(pages(db, history)) == []
    assert append(db, history, event(1)) == [1]


# --- paging


def test_a_page_says_where_it_ends(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, *(event(n) for n in range(5)))
    assert [len(page.events) for page in pages(db, history, limit=2)] == [2, 2, 1]
    assert [len(page.events) for page in pages(db, history, limit=2, reverse=True)] == [2, 2, 1]
    with db.begin() as txn:
        assert history.page(txn).token is None


def test_a_pattern_that_matches_rarely_gives_short_pages_and_misses_nothing(
    db: zlmdb.Database, history: EventHistory
) -> None:
    append(db, history, *(event(n, topic="org.rare" if n % 50 == 49 else f"com.a{n}") for n in range(200)))
    found = list(pages(db, history, topic=".rare", match="wildcard", scan_budget=20))
    assert len(found) == 11
    assert {len(page.events) for page in found} == {0, 1}
    assert publications(found) == [49, 99, 149, 199]


def test_the_index_by_topic_spares_the_budget(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, *(event(n, topic="org.rare" if n % 50 == 49 else "com.a") for n in range(200)))
    assert [publications([page]) for page in pages(db, history, topic="org.rare", scan_budget=5)] == [
        [49, 99, 149, 199]
    ]


def test_what_is_appended_between_pages_is_seen_once(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, *(event(n) for n in range(4)))
    found = []
    for number, page in enumerate(pages(db, history, limit=2)):
        found += page.events
        if number < 3:  # earlier than all before it: a clock that was set back
            append(db, history, event(100 + number, time_ns=10 - number))
    assert [each.publication for each in found] == [0, 1, 2, 3, 100, 101, 102]


def test_descending_pages_end_where_they_began(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, *(event(n) for n in range(6)))
    found = []
    for number, page in enumerate(pages(db, history, limit=2, reverse=True)):
        found += page.events
        append(db, history, event(100 + number))
    assert [each.publication for each in found] == [5, 4, 3, 2, 1, 0]


def test_a_time_range_is_sought_and_not_scanned(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, *(event(n, time_ns=n) for n in range(1000)))
    with db.begin() as txn:
        page = history.page(txn, from_ns=500, until_ns=503, scan_budget=4)
        assert (publications([page]), page.token) == ([500, 501, 502], None)
        page = history.page(txn, topic="com.a", until_ns=10, reverse=True, scan_budget=4, limit=3)
        assert publications([page]) == [9, 8, 7]


@pytest.mark.parametrize("reverse", [False, True])
def test_time_ranges_hold_what_a_clock_set_back_gave(db: zlmdb.Database, history: EventHistory, reverse: bool) -> None:
    times = [10, 20, 90, 30, 40, 100, 35, 110]
    append(db, history, *(event(n, time_ns=time) for n, time in enumerate(times)))
    expected = [n for n, time in enumerate(times) if 30 <= time < 90]
    found = publications(pages(db, history, from_ns=30, until_ns=90, reverse=reverse, limit=1))
    assert found == (expected[::-1] if reverse else expected)


events_made = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.integers(0, 12), st.sampled_from([None, 0, 1, 2])), max_size=40
)
queries = st.fixed_dictionaries(
    {
        "pattern": st.sampled_from([(None, "exact"), *PATTERNS]),
        "publisher": st.sampled_from([None, 0, 1, 2]),
        "from_ns": st.none() | st.integers(0, 13),
        "until_ns": st.none() | st.integers(0, 13),
        "reverse": st.booleans(),
        "scan_budget": st.integers(1, 12),
    }
)


@given(before=events_made, meanwhile=st.lists(events_made, max_size=4), query=queries, limits=st.data())
def test_pages_give_each_matching_event_exactly_once(before: Any, meanwhile: Any, query: Any, limits: Any) -> None:
    """Compare with a filtered list; ascending pages see what was appended meanwhile, descending ones do not."""
    topic, match = query.pop("pattern")
    made: list[Event] = []

    def add(rows: list[tuple[str, int, int | None]]) -> None:
        new = [event(len(made) + n, t, time, publisher=p) for n, (t, time, p) in enumerate(rows)]
        made.extend(new)
        append(db, history, *new)

    def expected() -> list[int]:
        kept = [
            each.publication
            for each in made
            if (topic is None or matches(each.topic, topic, match))
            and query["publisher"] in (None, each.publisher)
            and (query["from_ns"] or 0) <= each.time_ns
            and (query["until_ns"] is None or each.time_ns < query["until_ns"])
        ]
        return kept[::-1] if query["reverse"] else kept

    with zlmdb.Database(sync=False) as db:
        history = db.attach(EventHistory)
        add(before)
        at_first, arriving = expected(), iter(meanwhile)
        found: list[int] = []
        token: str | None = None
        while True:
            limit = limits.draw(st.integers(1, 7))
            with db.begin() as txn:
                page = history.page(txn, topic=topic, match=match, after=token, limit=limit, **query)
            assert len(page.events) <= limit
            found += publications([page])
            if (token := page.token) is None:
                break
            add(next(arriving, []))
        assert found == (at_first if query["reverse"] else expected())
        check_indexes(db, history)


@pytest.mark.parametrize(
    ("topic", "pattern", "match", "expected"),
    [
        ("com.a", "com.a", "exact", True),
        ("com.a.b", "com.a", "exact", False),
        ("com.ab", "com.a", "prefix", True),
        ("com", "com.", "prefix", False),
        ("com.x.b", "com..b", "wildcard", True),
        ("com.x.y.b", "com..b", "wildcard", False),
        ("com.b", "com..b", "wildcard", False),
        ("com.x.b", "..", "wildcard", True),
    ],
)
def test_patterns_match_as_subscriptions_do(topic: str, pattern: str, match: Any, expected: bool) -> None:
    assert matches(topic, pattern, match) is expected


# --- tokens and arguments


def test_a_token_continues_its_own_query_only(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, *(event(n) for n in range(5)))
    with db.begin() as txn:
        token = history.page(txn, topic="com.a", limit=2).token
        assert token is not None
        assert publications([history.page(txn, topic="com.a", limit=1, after=token)]) == [2]
        others: list[dict[str, Any]] = [
            {"topic": "com.b"},
            {"topic": "com.a", "match": "prefix"},
            {"topic": "com.a", "reverse": True},
            {"topic": "com.a", "from_ns": 0},
            {"topic": "com.a", "publisher": 1},
            {"topic": "com.a", "subscription": Subscription("com.a")},
            {},
        ]
        for other in others:
            with pytest.raises(errors.BadToken, match="not a token of this query"):
                history.page(txn, after=token, **other)
        damaged = token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB")
        for garbage in ("", "x", "é", "AAAA", damaged, token + "AAAA", 5, b"\0"):
            with pytest.raises(errors.BadToken, match="not a token of this query"):
                history.page(txn, topic="com.a", after=garbage)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": True},
        {"limit": None},
        {"scan_budget": 0},
        {"topic": 5},
        {"topic": "a", "match": "regex"},
        {"publisher": "joe"},
        {"publisher": -1},
        {"from_ns": 1.5},
        {"until_ns": 2**64},
        {"topic": "com.\ud800"},
        {"max_bytes": 0},
        {"subscription": "com.a"},
        {"subscription": Subscription(5)},  # type: ignore[arg-type]
        {"subscription": Subscription("com.a", "regex")},  # type: ignore[arg-type]
        {"topic": "a", "match": ["exact"]},
    ],
)
def test_wrong_arguments_are_refused(db: zlmdb.Database, history: EventHistory, wrong: Any) -> None:
    with db.begin() as txn, pytest.raises(errors.ConfigError) as caught:
        history.page(txn, **wrong)
    assert caught.value.expected


def test_zero_is_a_bound(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, event(1, time_ns=0, publisher=0), event(2, time_ns=1))
    with db.begin() as txn:
        assert history.page(txn, until_ns=0).events == []
        assert publications([history.page(txn, from_ns=0)]) == [1, 2]
        assert publications([history.page(txn, publisher=0)]) == [1]
        assert history.page(txn, topic="").events == []


def test_a_history_outlives_its_handle(tmp_path: Path) -> None:
    for number in range(3):
        with zlmdb.Database(tmp_path / "db") as db:
            assert append(db, db.attach(EventHistory), event(number)) == [number + 1]


# --- the plugin


def store(reactor: Any, path: Path, **options: Any) -> EventHistoryStore:
    def opened(*args: Any, **kwargs: Any) -> Any:
        return open_database(*args, reactor=reactor, **kwargs)

    config = check(Config, {"path": str(path), **options})
    return EventHistoryStore(config, Context(open_database=opened, call_later=reactor.callLater, reactor=reactor))


def test_the_plugin_alone_keeps_a_history(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        alone = store(reactor, tmp_path / "db")
        assert isinstance(await error_of(alone.append(event(1))), errors.DatabaseClosed)
        await alone.attach()
        assert [await alone.append(event(n)) for n in range(3)] == [1, 2, 3]
        page = await alone.page(topic="com.a", limit=2)
        assert publications([page, await alone.page(topic="com.a", after=page.token)]) == [0, 1, 2]
        assert await alone.get(2) == event(2, sequence=3, clock_ns=1000)
        assert isinstance(await error_of(alone.append(event(1))), errors.UniqueViolation)
        assert isinstance(await error_of(alone.page(limit=0)), errors.ConfigError)
        await alone.stop()
        await alone.stop()
        for call in (alone.append(event(9)), alone.page(), alone.get(1)):
            assert isinstance(await error_of(call), errors.DatabaseClosed)

    async def reading(reactor: Any) -> None:
        alone = store(reactor, tmp_path / "db", readonly=True)
        await alone.attach()
        assert publications([await alone.page()]) == [0, 1, 2]
        assert isinstance(await error_of(alone.append(event(9))), errors.ReadonlyTransaction)
        await alone.stop()

    run(main)
    run(reading)


def test_the_plugin_states_what_it_is_and_checks_its_configuration() -> None:
    assert (plugin.name, plugin.api, plugin.config) == ("eventhistory", (1, 0), Config)
    with pytest.raises(errors.ConfigError) as caught:
        check(Config, {"maxsize": 5, "snyc": True})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "store.snyc",
        "store.path",
        "store.maxsize",
    ]


@pytest.mark.parametrize("schema", ["eventhistory", "realmstore"])
def test_the_examples_of_the_readme_run(schema: str) -> None:
    text = (Path(__file__).parents[1] / "schemas" / schema / "README.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        assert run_python(["-W", "error", "-c", example])
