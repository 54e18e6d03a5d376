# SPDX-License-Identifier: MIT
"""Switching a node over to our stores, with the files that it has, and back."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crossbar.node import NEVER, THEIRS, Client, Node, until
from tests.crossbar.stored import events, sessions

STORE: dict[str, Any] = {"maxsize": 2**26, "buffer-flush": 20, "event-history": [{"uri": "com.a", "match": "prefix"}]}


def their_publications(path: Path) -> int:
    code = (
        "import sys, zlmdb; from cfxdb.realmstore import RealmStore\n"
        "with zlmdb.Database(sys.argv[1], readonly=True) as db, db.begin() as txn:\n"
        "    print(RealmStore.attach(db).publications.count(txn))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    return int(done.stdout or 0)


def test_a_node_keeps_what_it_has_and_can_go_back(tmp_path: Path) -> None:
    file = tmp_path / ".crossbar" / "realm"
    with Node(tmp_path, STORE, command=THEIRS) as before, Client(before, user="alice") as alice:
        (cookie,) = re.findall(r"setting new cookie cbtid=([^;]+);", before.said)
        published = alice.publish("com.a.old", "ä", count=5)
        until(lambda: their_publications(file) == 5, "publications in the old tables")
    with Node(tmp_path, STORE) as ours, Client(ours, cookie=cookie) as back:
        assert (back.joined["authid"], back.joined["authprovider"]) == ("alice", "cookie")
        assert back.call("wamp.session.get", alice.joined["session"])["authid"] == "alice"
        old = back.history("com.a", "prefix")
        assert [event["publication"] for event in old] == published[::-1]
        assert [(event["topic"], event["args"], event["session_id"]) for event in old] == [
            ("com.a.old", [number, "ä"], alice.joined["session"]) for number in (4, 3, 2, 1, 0)
        ]
        (new,) = back.publish("com.a.new")
        assert [event["publication"] for event in back.history("com.a", "prefix")] == [new, *published[::-1]]
    with Node(tmp_path, STORE, command=THEIRS) as after:
        with Client(after, cookie=cookie) as again:
            assert again.joined["authid"] == "alice"
            again.publish("com.a.old")
            until(lambda: their_publications(file) == 6, "a publication in the old tables")
        assert "zlmdb.twisted.crossbar" not in after.said
    with Node(tmp_path, STORE) as ours, Client(ours, cookie=cookie) as back:
        assert back.joined["authid"] == "alice"
        assert back.history("com.a", "prefix")[0]["publication"] == new
    assert [event.publication for event in events(file)] == [*published, new]
    assert {alice.joined["session"], back.joined["session"], again.joined["session"]} <= set(sessions(file))


def test_standalone_nodes_have_the_store_too(tmp_path: Path) -> None:
    with Node(tmp_path, STORE, kind="standalone") as node, Client(node) as client:
        published = client.publish("com.a.b")
        assert [event["publication"] for event in client.history("com.a", "prefix")] == published


@pytest.mark.parametrize(("arguments", "said"), [(["version"], "Crossbar.io"), ([], "Usage")])
def test_the_command_is_that_of_the_router(arguments: list[str], said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zlmdb.twisted.crossbar", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0
    assert said in done.stdout


def test_nodes_that_cannot_have_the_stores_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zlmdb.twisted.crossbar", "master", "start"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "standalone or edge" in done.stderr


def test_a_personality_of_ones_own_can_have_the_stores(tmp_path: Path) -> None:
    code = (
        "from autobahn.twisted import install_reactor; install_reactor()\n"
        "from zlmdb.twisted.crossbar import install\n"
        "from crossbar import personality\n"
        "class Mine(personality.Personality): pass\n"
        "install(Mine)\n"
        "store = Mine.create_realm_store(Mine, None, {'type': 'cfxdb', 'path': 'db', 'buffer-flush': 5})\n"
        "print(store.type, store.is_running, 'cfxdb' in personality.Personality.REALM_STORES)\n"
        "try: install(dict)\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.splitlines() == ["cfxdb False False", "ConfigError"], done.stderr


def test_history_is_deleted_as_the_configuration_says(tmp_path: Path) -> None:
    bounded = [{"uri": "com.a", "max-count": 3}, {"uri": "com.b", "max-age": 3600}]
    store = {**STORE, "buffer-flush": NEVER, "event-history": bounded, "sweep-interval": 0.05}
    with Node(tmp_path, store) as node, Client(node) as client:
        published = client.publish("com.a", count=10)
        kept = client.publish("com.b", count=5)
        node.stop()
    with Node(tmp_path, store) as node, Client(node) as client:
        assert [event["publication"] for event in client.history("com.a")] == published[:6:-1]
        assert [event["publication"] for event in client.history("com.b")] == kept[::-1]
        until(lambda: len(events(tmp_path / ".crossbar" / "realm")) == 8, "the sweep")
