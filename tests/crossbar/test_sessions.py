# SPDX-License-Identifier: MIT
"""Sessions, cookies and waiting calls of a node: what a restart leaves of them."""

import re
from pathlib import Path
from typing import Any

from tests.crossbar.node import NEVER, Client, Node, until
from tests.crossbar.stored import sessions, waiting_calls

STORE: dict[str, Any] = {"buffer-flush": 20}


def cookies(node: Node) -> list[str]:
    """The values of the cookies that the node has handed out."""
    return re.findall(r"setting new cookie cbtid=([^;]+);", node.said)


def test_the_time_and_the_reason_of_leaving_are_stored(tmp_path: Path) -> None:
    file = tmp_path / ".crossbar" / "realm"
    with Node(tmp_path, STORE) as node, Client(node) as staying:
        with Client(node) as leaving:
            pass
        until(lambda: bool(sessions(file)[leaving.joined["session"]].left_at), "the time of leaving in the file")
        there = sessions(file)[staying.joined["session"]]
        assert (there.left_at, there.left_reason) == (None, None)
        node.stop()
    stored = sessions(file)
    left, stayed = (stored[client.joined["session"]] for client in (leaving, staying))
    assert left.left_reason == "wamp.close.normal"
    assert stayed.left_reason == "wamp.close.system_shutdown"
    for session in (left, stayed):
        assert session.joined_at is not None
        assert session.left_at is not None
        assert session.left_at > session.joined_at
    assert "is not stored" not in node.said
    assert "zlmdb.errors" not in node.said


def test_a_session_of_a_former_life_is_found_by_its_id(tmp_path: Path) -> None:
    with Node(tmp_path, STORE) as node, Client(node, user="alice") as former:
        pass
    with Node(tmp_path, STORE) as again, Client(again) as client:
        found = client.call("wamp.session.get", former.joined["session"])
    assert {name: found[name] for name in ("session", "authid", "authrole", "authmethod", "realm")} == {
        "session": former.joined["session"],
        "authid": "alice",
        "authrole": "user",
        "authmethod": "ticket",
        "realm": "realm1",
    }
    assert found["transport"]["peer"].startswith("tcp4:127.0.0.1:")


def test_a_client_that_sends_what_cannot_be_read_back_disables_neither_store(tmp_path: Path) -> None:
    """Its session joins and is stored without that; its cookie, which has room for less, authenticates nobody."""
    file = tmp_path / ".crossbar" / "realm"
    with Node(tmp_path, STORE) as node, Client(node, user="alice", nesting=450) as hostile:
        assert (hostile.joined["authid"], hostile.joined["authmethod"]) == ("alice", "ticket")
        (cookie,) = cookies(node)
        with Client(node, user="bob", nesting=100) as deep:
            pass
        node.stop()
    assert "is stored without authextra" in node.said
    assert node.said.count("a cookie authenticates") == 2
    stored = sessions(file)[hostile.joined["session"]]
    assert (stored.authid, stored.authextra, stored.left_reason) == ("alice", None, "wamp.close.system_shutdown")
    assert sessions(file)[deep.joined["session"]].authextra is not None
    with Node(tmp_path, STORE) as again, Client(again, cookie=cookie) as client:
        assert client.joined["authmethod"] == "anonymous"
        assert client.call("wamp.session.get", hostile.joined["session"])["authid"] == "alice"
    assert "runs without its store" not in again.said


def test_authentication_by_cookie_outlives_a_restart(tmp_path: Path) -> None:
    with Node(tmp_path, STORE) as node, Client(node, user="alice") as alice:
        (cookie,) = cookies(node)
        node.kill()  # cookies need no orderly end
    assert (alice.joined["authid"], alice.joined["authmethod"]) == ("alice", "ticket")
    with Node(tmp_path, STORE) as again:
        with Client(again, cookie=cookie) as back:
            assert (back.joined["authid"], back.joined["authprovider"]) == ("alice", "cookie")
        with Client(again, cookie="x" * 24) as stranger:
            assert stranger.joined["authid"] != "alice"
        with Client(again, cookie=cookie) as back:
            back.call("wamp.session.kill_by_authid", "nobody")
            assert back.joined["authid"] == "alice"


def test_calls_that_wait_outlive_a_restart(tmp_path: Path) -> None:
    store = {**STORE, "buffer-flush": NEVER, "call-queue": [{"uri": "com.slow", "limit": 3}]}
    file = tmp_path / ".crossbar" / "realm"
    with Node(tmp_path, store) as node, Client(node) as callee, Client(node, user="alice") as caller:
        callee.register("com.slow", 1)
        caller.start_calls("com.slow", [1, 2, 3, 4])
        until(lambda: callee.received() == [1], "the first call")
        caller.call("wamp.registration.count_callees", caller.call("wamp.registration.lookup", "com.slow"))
        node.stop()
    assert waiting_calls(file) == [2, 3, 4]
    with Node(tmp_path, store) as again, Client(again) as callee, Client(again) as caller:
        callee.register("com.slow", 1)
        caller.start_calls("com.slow", [5])
        for finished, begun in [(5, 2), (2, 3), (3, 4)]:
            until(lambda finished=finished: finished in callee.received(), f"call {finished}")
            callee.finish(finished)
            until(lambda begun=begun: begun in callee.received(), f"call {begun}")
        callee.finish(4)
        assert callee.received() == [5, 2, 3, 4]
        again.stop()
    assert waiting_calls(file) == []
