# SPDX-License-Identifier: MIT
"""Our stores for Crossbar where there is no Crossbar: what is said, and what can be checked without it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag

from tests.reactor_bench import run
from tests.realm_bench import logged
from zlmdb import errors
from zlmdb.twisted.crossbar import install
from zlmdb.twisted.crossbar._cookies import RouterCookieStore
from zlmdb.twisted.crossbar._realm import check_realm_store

pytestmark = pytest.mark.skipif(find_spec("crossbar") is not None, reason="Crossbar is installed here")


def test_without_the_router_it_is_told_what_to_install() -> None:
    with pytest.raises(errors.MissingDependency, match=r"pip install zlmdb\[crossbar\]"):
        install()


def test_the_command_says_so_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zlmdb.twisted.crossbar", "edge", "start"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("zlmdb-crossbar: Crossbar.io cannot be imported")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("store", "problems"),
    [
        ("cfxdb", ["realm 'r': store: expected a mapping, got 'cfxdb'"]),
        ({}, []),
        (None, []),
        ({"type": "memory", "anything": 1}, []),
        ({"type": "cfxdb", "path": "p", "buffer-flush": 20, "event-history": [{"uri": "a", "limit": 5}]}, []),
        (
            {"type": "cfxdb", "maxsize": 5, "event-history": [{"uri": 5}, {"match": "exact"}]},
            [
                "realm 'r': store.path",
                "realm 'r': store.maxsize",
                "realm 'r': store.event-history[0].uri",
                "realm 'r': store.event-history[1].uri",
            ],
        ),
        ({"type": "cfxdb", "path": "p", "call-queue": [{"uri": "a\ud800"}]}, ["realm 'r': store.call-queue[0]"]),
        (
            {"type": "cfxdb", "path": "p", "event-history": [{"uri": "x" * 500}]},
            ["realm 'r': store.event-history[0].uri"],
        ),
    ],
)
def test_a_realm_is_checked_completely(store: Any, problems: list[str]) -> None:
    try:
        check_realm_store({"name": "r", "store": store}, ["cfxdb", "memory"])
        found: tuple[str, ...] = ()
    except errors.ConfigError as error:
        found = error.problems
    assert len(found) == len(problems), found
    for problem in problems:
        assert any(each.startswith(problem) for each in found), found


DOUBLED: list[Any] = ["x"]
for _ in range(60):
    DOUBLED = [DOUBLED, DOUBLED]


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


COOKIE: dict[str, Any] = {"name": "cbtid", "length": 24, "max_age": 3600, "store": {"type": "database", "path": "c"}}


def test_cookies_are_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)
        value, header = store.create()
        assert header == f"cbtid={value};max-age=3600"
        assert store.getAuth(value) == (None, None, None, None, {})
        assert store.setAuth(value, "joe", "user", "ticket", {"a": 1}, "realm1")
        other = RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)
        assert other.exists(value)
        assert other.getAuth(value) == ("joe", "user", "ticket", "realm1", {"a": 1})
        assert other.setAuth(value, None, None, None, None, None)
        assert store.getAuth(value)[0] is None
        assert store.delAuth(value)
        assert not other.exists(value)
        assert other.getAuth(value) == (None, None, None, None, None)
        assert (other.delAuth(value), other.setAuth(value, "joe", None, None, None, None)) == (False, False)

    run(main)


@pytest.mark.parametrize(
    "extra", [nested(100), nested(450), {"a": "x" * 70_000}, {"a": CBORTag(0, "x")}, {"a": object()}, {"a": DOUBLED}]
)
def test_a_login_that_cannot_be_stored_is_logged_and_the_cookie_authenticates_nobody(
    tmp_path: Path, extra: Any
) -> None:
    async def main(reactor: Any) -> None:
        store = RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)
        value, _ = store.create()
        assert store.setAuth(value, "ann", "user", "ticket", None, "realm1")
        with logged() as lines:
            assert not store.setAuth(value, "joe", "user", "ticket", extra, "realm1")
        assert len([line for line in lines if "authenticates 'joe' is not stored" in line]) == 1
        assert not any(value in line for line in lines)
        again = RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)
        assert [each.getAuth(value) for each in (store, again)] == [(None, None, None, None, {})] * 2
        assert store.setAuth(value, "joe", "user", "ticket", {"a": nested(50)}, "realm1")
        assert store.getAuth(value) == ("joe", "user", "ticket", "realm1", {"a": nested(50)})

    run(main)


def test_while_the_file_takes_nothing_cookies_authenticate_nobody_whose_logout_it_does_not_take(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        path = str(tmp_path / "db")
        store = RouterCookieStore(path, COOKIE, reactor=reactor)
        value, _ = store.create()
        assert store.setAuth(value, "ann", "user", "ticket", None, "realm1")
        database = store._cookies._db.database
        with database.begin(write=True), logged() as lines:  # a write of its own fails meanwhile
            assert not store.setAuth(value, None, None, None, None, None)
            assert store.getAuth(value) == (None, None, None, None, {})
        assert any("is not stored" in line for line in lines)
        assert store.exists(value)
        assert store.getAuth(value)[0] is None
        assert store.setAuth(value, "joe", "user", "ticket", None, "realm1")
        assert store.getAuth(value)[0] == "joe"

    run(main)


def test_a_cookie_that_could_not_be_deleted_still_authenticates_nobody(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)
        value, _ = store.create()
        assert store.setAuth(value, "ann", "user", "ticket", None, "realm1")
        with store._cookies._db.database.begin(write=True):  # a write of its own fails meanwhile
            assert not store.setAuth(value, None, None, None, None, None)
            with pytest.raises(errors.ZlmdbError):
                store.delAuth(value)
            assert store.getAuth(value)[0] is None
        assert store.getAuth(value)[0] is None
        store._cookies.revoke(value)  # by another way
        assert not store.exists(value)
        assert not store._nobodies

    run(main)


@pytest.mark.parametrize(
    "value", ["", "x", "x" * 24, "x" * 10_000, "\ud800" * 24, "a;b=c", "\0" * 24, "../../etc/passwd", "ä" * 24]
)
def test_hostile_cookies_are_unknown(value: str, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)
        parsed = store.parse({"cookie": f"cbtid={value}"})
        assert parsed is None or not store.exists(parsed)
        assert not store.exists(value)
        assert store.getAuth(value) == (None, None, None, None, None)
        assert not store.setAuth(value, "joe", "user", "ticket", None, "realm1")
        assert not store.delAuth(value)
        assert store.parse({}) is None

    run(main)


def test_connections_are_counted_by_cookie(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)
        assert [store.addProto("v", each) for each in ("one", "two", "two")] == [1, 2, 2]
        assert sorted(store.getProtos("v")) == ["one", "two"]
        assert [store.dropProto("v", each) for each in ("one", "two", "two")] == [1, 0, 0]
        assert store.getProtos("v") == []

    run(main)


def test_a_cookie_store_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"a file")

    async def main(reactor: Any) -> None:
        with pytest.raises(errors.PluginError, match="attach failed"):
            RouterCookieStore(str(tmp_path / "db"), COOKIE, reactor=reactor)

    run(main)
