# SPDX-License-Identifier: MIT
"""The history of a router's events: complete, in order, once for each publication, and after a restart too."""

from pathlib import Path
from typing import Any

import pytest

from tests.crossbar.node import NEVER, Client, Node, until
from tests.crossbar.stored import events, publications

PATTERNS = [
    {"uri": "com.example.exact", "limit": 2000},
    {"uri": "com.example.all", "match": "prefix", "limit": 2000},
    {"uri": "com..sold", "match": "wildcard", "limit": 2000},
]
STORE: dict[str, Any] = {"event-history": PATTERNS, "buffer-flush": NEVER}


def ids(history: list[dict[str, Any]]) -> list[int]:
    return [event["publication"] for event in history]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Node(tmp_path_factory.mktemp("node"), STORE) as running:
        yield running


@pytest.mark.parametrize(
    ("uri", "match", "topics"),
    [
        ("com.example.exact", "exact", ["com.example.exact"]),
        ("com.example.all", "prefix", ["com.example.all", "com.example.all.a", "com.example.all.b.c"]),
        ("com..sold", "wildcard", ["com.pears.sold", "com.nuts.sold"]),
    ],
)
def test_history_is_given_newest_first_without_live_receivers(
    node: Node, uri: str, match: str, topics: list[str]
) -> None:
    with Client(node) as client:
        published = [client.publish(topic, "ä", {"a": None})[0] for topic in topics * 3]
        found = client.history(uri, match)
        assert ids(found) == published[::-1]
        assert [event["topic"] for event in found] == (topics * 3)[::-1]
        assert all(event["args"] == [0, "ä", {"a": None}] for event in found)
        times = [event["time_ns"] for event in found]
        assert times == sorted(times, reverse=True)
        assert {(event["session_id"], event["authid"], event["authrole"], event["realm"]) for event in found} == {
            (client.joined["session"], client.joined["authid"], "anonymous", "realm1")
        }
        assert ids(client.history(uri, match, 2)) == published[:-3:-1]
        # the router's own default of ten
        assert ids(client.call("wamp.subscription.get_events", client.subscription(uri, match))) == ids(found)[:10]


def test_a_publication_is_in_the_history_once_however_many_receive_it(node: Node) -> None:
    with Client(node) as one, Client(node) as two, Client(node) as three:
        for client in (one, two, three):
            client.subscribe("com.example.all", "prefix")
            client.subscribe("com.example.all.many")
        (publication,) = one.publish("com.example.all.many", exclude_me=False)
        until(lambda: all(len(client.received()) == 2 for client in (one, two, three)), "events for all subscriptions")
        assert ids(one.history("com.example.all", "prefix")).count(publication) == 1
        subscribers = one.call("wamp.subscription.list_subscribers", one.subscription("com.example.all", "prefix"))
        assert {client.joined["session"] for client in (one, two, three)} <= set(subscribers)


def test_topics_without_history_have_none(node: Node) -> None:
    with Client(node) as client:
        subscription = client.subscribe("com.other")
        client.publish("com.other")
        with pytest.raises(AssertionError, match="history_unavailable"):
            client.call("wamp.subscription.get_events", subscription)


def test_publications_for_some_only_are_kept(tmp_path: Path) -> None:
    receivers: list[dict[str, Any]] = [
        {"exclude_authid": ["joe"]},
        {"exclude_authrole": ["user"]},
        {"exclude_authid": ["joe", "ann"], "exclude_authrole": ["user"]},
        {"exclude": [1, 2, 2**53]},
        {"eligible": [3, 4, 2**53 - 1]},
        {"eligible_authid": ["joe"], "eligible_authrole": ["user", "other"]},
    ]
    with Node(tmp_path, STORE) as node, Client(node) as client:
        published = [client.publish("com.example.exact", **options)[0] for options in receivers]
        assert ids(client.history("com.example.exact")) == published[::-1]
    stored = events(tmp_path / ".crossbar" / "realm")
    assert [
        {name: getattr(event, name) for name in options} for event, options in zip(stored, receivers, strict=True)
    ] == receivers


def test_sigterm_after_a_thousand_acknowledgements_loses_none(tmp_path: Path) -> None:
    with Node(tmp_path, STORE) as node, Client(node) as client:
        published = client.publish("com.example.exact", count=1000)
        assert len(published) == 1000
        node.stop()
    assert publications(tmp_path / ".crossbar" / "realm") == published
    with Node(tmp_path, STORE) as again, Client(again) as client:
        assert ids(client.history("com.example.exact")) == published[::-1]
        more = client.publish("com.example.exact")
        assert ids(client.history("com.example.exact", limit=3)) == [*more, *published[:-3:-1]]


def test_sigkill_spares_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / ".crossbar" / "realm"
    with Node(tmp_path, {**STORE, "buffer-flush": 20}) as node, Client(node) as client:
        published = client.publish("com.example.exact", count=100)
        until(lambda: len(publications(file)) == 100, "a flush")
        node.kill()
    with Node(tmp_path, STORE) as again, Client(again) as client:
        assert ids(client.history("com.example.exact")) == published[::-1]


def test_the_end_of_the_controller_loses_nothing(tmp_path: Path) -> None:
    with Node(tmp_path, STORE) as node, Client(node) as client:
        published = client.publish("com.example.exact", count=100)
        node.kill_controller()
    assert publications(tmp_path / ".crossbar" / "realm") == published
