# SPDX-License-Identifier: MIT
"""What a node with our stores refuses: it says so, and what it has acknowledged stays."""

from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.crossbar.node import NEVER, Client, Node, realm
from tests.crossbar.stored import publications
from zlmdb.plugins import SchemaVersions

STORE: dict[str, Any] = {"event-history": [{"uri": "com.a", "match": "prefix", "limit": 10_000}], "buffer-flush": 20}


FAULTY: dict[str, Any] = {
    "max-bufer": 5,
    "max-buffer": 0,
    "maxsize": "1 GiB",
    "path": "",
    "overflow": "panic",
    "event-history": [{"uri": "com.a", "match": "glob"}, {"uri": ""}],
    "call-queue": {"uri": "com.a"},
}


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (
            FAULTY,
            [
                "store.max-bufer: unknown key, did you mean 'max-buffer'?",
                "store.max-buffer: expected int >= 1",
                "store.maxsize: expected int",
                "store.path: expected",
                'store.overflow: expected "wait", "drop-oldest" or "error"',
                "store.event-history[0].match: expected",
                "store.event-history[1]: no topic has an empty uri",
                "store.call-queue: expected a list",
            ],
        ),
        ({"event-history": [{"uri": "a"}, {"uri": "a"}]}, ["event-history has 'a' (exact) twice"]),
        ({"type": "cfxbd"}, ["store.type: expected 'cfxdb' or 'memory'"]),
    ],
)
def test_every_fault_of_a_configuration_is_told_with_its_path_before_anything_runs(
    store: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    done = Node(tmp_path, store).check()
    assert done.returncode == 1
    for fault in said:
        assert fault in done.stdout
    assert done.stdout.count("realm 'realm1': store") == len(said)
    assert not (tmp_path / ".crossbar" / "realm").exists()


def test_the_configuration_of_existing_nodes_is_right(tmp_path: Path) -> None:
    present = {"maxsize": 2**26, "readonly": False, "sync": True, "max-buffer": 10000, "buffer-flush": 200}
    assert Node(tmp_path, {**STORE, **present}).check().returncode == 0


def test_what_cannot_be_stored_is_refused_to_its_publisher_and_harms_no_other(tmp_path: Path) -> None:
    with Node(tmp_path, STORE) as node, Client(node) as client, Client(node) as other:
        with pytest.raises(AssertionError, match=r"zlmdb\.error\.not_stored.*the topic is too long"):
            client.publish("com.a." + "x" * 2500)
        large = client.publish("com.a.large", "x" * 600_000)
        published = client.publish("com.a." + "x" * 1900) + other.publish("com.a")
        assert [event["publication"] for event in other.history("com.a", "prefix")] == [*large, *published][::-1]


def test_a_full_file_stops_the_intake_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    full = {**STORE, "maxsize": 2**20, "buffer-flush": 10}
    acknowledged: list[int] = []
    with Node(tmp_path, full) as node, Client(node) as client:
        with pytest.raises(AssertionError, match=r"zlmdb.error.not_stored.*the map is full|not_stored.*full"):
            while True:
                acknowledged += client.publish("com.a", "x" * 5000)
        assert len(acknowledged) > 20
        with Client(node) as another:  # the node itself is well
            assert another.history("com.a", "prefix", 1)[0]["publication"] == acknowledged[-1]
            assert another.publish("com.other")
        node.kill()
    file = tmp_path / ".crossbar" / "realm"
    assert set(acknowledged) >= set(publications(file))


def test_a_burst_holds_up_the_publisher_and_loses_nothing(tmp_path: Path) -> None:
    small = {**STORE, "max-buffer": 20, "buffer-flush": NEVER}
    with Node(tmp_path, small) as node, Client(node) as client:
        published = client.publish("com.a", "x" * 500, count=1000)
        assert [event["publication"] for event in client.history("com.a", "prefix")] == published[::-1]


def test_a_file_of_a_newer_version_stops_its_realm_alone_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / ".crossbar" / "realm"
    with Node(tmp_path, STORE) as node, Client(node) as client:
        published = client.publish("com.a")
    with zlmdb.Database(file) as db, db.begin(write=True) as txn:
        db.attach_table(SchemaVersions)[txn, "realmstore"] = 99
    with (
        Node(tmp_path, STORE, realm("realm2", {**STORE, "path": "realm2"})) as node,
        Client(node) as client,
        Client(node, realm="realm2") as other,
    ):
        for ask in (lambda: client.publish("com.a"), lambda: client.history("com.a", "prefix")):
            with pytest.raises(AssertionError, match="SchemaTooNew"):
                ask()
        assert client.publish("com.other")
        assert other.publish("com.a") == [event["publication"] for event in other.history("com.a", "prefix")]
        assert "a realm runs without its store" in node.said
    assert publications(file) == published


def test_two_realms_cannot_share_a_file_with_different_options(tmp_path: Path) -> None:
    with (
        Node(tmp_path, STORE, realm("realm2", {**STORE, "path": "realm", "sync": False})) as node,
        Client(node) as client,
        Client(node, realm="realm2") as other,
    ):
        with pytest.raises(AssertionError, match="OptionsConflict"):
            other.publish("com.a")
        assert client.publish("com.a") == [event["publication"] for event in client.history("com.a", "prefix")]


def test_two_realms_have_their_own_histories(tmp_path: Path) -> None:
    with (
        Node(tmp_path, STORE, realm("realm2", {**STORE, "path": "realm2"})) as node,
        Client(node) as one,
        Client(node, realm="realm2") as two,
    ):
        assert one.publish("com.a") == [event["publication"] for event in one.history("com.a", "prefix")]
        assert two.publish("com.a") == [event["publication"] for event in two.history("com.a", "prefix")]
