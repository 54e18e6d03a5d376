# SPDX-License-Identifier: MIT
"""Processes that share a cookie store, and processes that are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.children import Held, run
from tests.cookie_stores import exact_indexes
from zlmdb_cookiestore import BlockingCookieStore

OPEN = """
from zlmdb_cookiestore import BlockingCookieStore
store = BlockingCookieStore({"path": sys.argv[1], "sync": len(sys.argv) > 2})
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookies"


def test_what_one_process_does_with_a_cookie_another_sees_at_once(path: Path) -> None:
    child = """
hold("open")
value = store.sign_in(None, "alice").value
hold(value)
assert store.lookup(value).authid == "bob"
assert store.lookup(value).authextra == {"cart": 1}
store.revoke(value)
hold("revoked")
assert store.of_authid("carol") == []
"""
    with BlockingCookieStore({"path": str(path), "sync": False}) as store, Held(OPEN + child, path) as other:
        assert other.said() == "open"
        other.go_on()
        value = other.said()
        cookie = store.lookup(value)
        assert cookie is not None
        assert cookie.authid == "alice"
        carols = [store.sign_in(None, "carol").value for _ in range(3)]
        store.authenticate(value, "bob")
        store.update_data(value, {"cart": 1})
        other.go_on()
        assert other.said() == "revoked"
        assert store.lookup(value) is None
        assert store.revoke_all("carol") == len(carols)
        other.finish()
    assert exact_indexes(path) == 0


def test_processes_that_write_all_at_once_do_not_disturb_one_another(path: Path) -> None:
    child = """
hold("ready")
mine = []
for number in range(60):
    issued = store.sign_in(None, "shared" if number % 2 else f"own{os.getpid()}")
    mine.append(issued.value)
    store.update_data(shared, {f"{os.getpid()}.{number}": number})
    if number % 3 == 0:
        assert store.revoke(mine.pop(0))
assert all(store.lookup(value) for value in mine)
print(len(mine))
"""
    with BlockingCookieStore({"path": str(path), "sync": False}) as store:
        shared = store.create().value
    child = OPEN + f"shared = {shared!r}\n" + child
    with Held(child, path) as one, Held(child, path) as two:
        for process in (one, two):
            assert process.said() == "ready"
        for process in (one, two):
            process.go_on()
        assert [int(process.said()) for process in (one, two)] == [40, 40]
        one.finish()
        two.finish()
    assert exact_indexes(path) == 81
    with BlockingCookieStore({"path": str(path), "sync": False}) as store:
        cookie = store.lookup(shared)
        assert cookie is not None
        assert len(cookie.authextra or {}) == 120
        left = store.counts().authenticated
        assert (
            store.revoke_all("shared") + sum(store.revoke_all(f"own{each.process.pid}") for each in (one, two)) == left
        )


def test_a_reader_without_write_access_sees_a_revocation_at_once(path: Path) -> None:
    with BlockingCookieStore({"path": str(path), "sync": False}) as store:
        value = store.sign_in(None, "alice").value
        child = """
from zlmdb_cookiestore import BlockingCookieStore
reader = BlockingCookieStore({"path": sys.argv[1], "readonly": True})
assert reader.lookup(sys.argv[2]).authid == "alice"
refused(errors.ReadonlyTransaction, reader.revoke, sys.argv[2])
hold("found")
assert reader.lookup(sys.argv[2]) is None
"""
        with Held(child, path, value) as other:
            assert other.said() == "found"
            store.revoke(value)
            other.finish()


@pytest.mark.crash
def test_an_acknowledged_revocation_survives_a_kill(path: Path) -> None:
    child = """
for number in range(30):
    keep, drop = store.sign_in(None, "alice"), store.sign_in(None, "bob")
    store.revoke(drop.value)
    print("revoked", drop.value, keep.value, flush=True)
print("end", flush=True)
while True:
    store.revoke(store.create().value)  # killed in the middle of some of these
"""
    revoked, kept = [], []
    with Held(OPEN + child, path, "sync") as process:
        while (line := process.said().split())[0] == "revoked":
            revoked.append(line[1])
            kept.append(line[2])
        process.kill()
    with BlockingCookieStore({"path": str(path)}) as store:
        assert [store.lookup(value) for value in revoked] == [None] * 30
        assert all(store.lookup(value) for value in kept)
        assert store.of_authid("bob") == []
        assert store.revoke_all("alice") == 30
    assert exact_indexes(path) <= 1  # one that was created, and not yet revoked


@pytest.mark.crash
def test_a_kill_while_an_old_file_is_indexed_is_made_up_for(path: Path) -> None:
    prepare = """
import uuid, time
from zlmdb_cookiestore import Cookie, Cookies, IndexCookiesByValue
with zlmdb.Database(sys.argv[1]) as db:
    table, index = db.attach_table(Cookies), db.attach_table(IndexCookiesByValue)
    table.attach_index("idx1", index, lambda cookie: cookie.value)
    with db.begin(write=True) as txn:
        for number in range(40):
            oid = uuid.uuid4()
            cookie = Cookie(oid=oid, created=time.time_ns(), max_age=1000, name="c", value=f"{number:024}", authid="a")
            table[txn, oid] = cookie
"""
    run(prepare, path)
    child = """
from zlmdb_cookiestore import BlockingCookieStore
from zlmdb_cookiestore._mending import Mending
index, slices = Mending._index, []
def counted(self, oids, txn):
    index(self, oids, txn)
    slices.append(oids)
    if len(slices) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Mending._index = counted
BlockingCookieStore({"path": sys.argv[1], "sweep-slice": 10})
"""
    with Held(child, path) as process:
        assert process.process.wait(60) == -9
    with BlockingCookieStore({"path": str(path), "sweep-slice": 10}) as store:
        assert store.counts().authenticated == 40
        assert store.revoke_all("a") == 40
    assert exact_indexes(path) == 0
