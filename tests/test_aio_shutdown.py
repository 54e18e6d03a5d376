# SPDX-License-Identifier: MIT
"""The ends of asyncio programs: whatever was acknowledged or accepted is in the file, and nothing hangs."""

import signal
from pathlib import Path

import pytest

import zlmdb
from tests.crash.processes import Child
from tests.test_twisted_shutdown import noted, stored

# puts one record after the other, as fast as the loop turns; notes what was accepted, acknowledges what was answered
TRAFFIC = """
import asyncio, os, sys
import zlmdb
from zlmdb.aio import open_database

folder, acks, accepted, durability = sys.argv[1:]
acks = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
accepted = os.open(accepted, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

async def main():
    async with open_database(folder, durability=durability, max_pending=500) as db:
        users = db.map(zlmdb.MapOidCbor(7))
        number = 0
        while True:
            for _ in range(20):
                number += 1
                put = users.put(number, {"number": number, "text": "x" * 200})
                os.write(accepted, b"ACK %d\\n" % number)
                put.add_done_callback(lambda _, number=number: os.write(acks, b"ACK %d\\n" % number))
            await asyncio.sleep(0)

try:
    asyncio.run(main())
finally:
    print("the loop has ended", flush=True)
"""


@pytest.mark.crash
@pytest.mark.parametrize("durability", ["commit", "queued"])
def test_ctrl_c_in_the_middle_of_traffic_loses_nothing_accepted(tmp_path: Path, durability: str) -> None:
    acks, accepted = tmp_path / "acks", tmp_path / "accepted"
    with Child(["-X", "dev", "-c", TRAFFIC, tmp_path / "db", acks, accepted, durability], acks) as child:
        child.wait_for_acks(500)
        child.kill(signal.SIGINT)
        assert "KeyboardInterrupt" in child.output
        assert "the loop has ended" in child.output
        assert "ResourceWarning" not in child.output
    assert set(noted(accepted)) == stored(tmp_path / "db")
    assert set(noted(acks)) == stored(tmp_path / "db")


@pytest.mark.crash
def test_a_kill_loses_nothing_that_was_acknowledged_after_its_commit(tmp_path: Path) -> None:
    acks = tmp_path / "acks"
    with Child(["-c", TRAFFIC, tmp_path / "db", acks, tmp_path / "accepted", "commit"], acks) as child:
        child.wait_for_acks(500)
        child.kill()
    assert set(noted(acks)) <= stored(tmp_path / "db")


# writes, and leaves its loop in one way or another without closing the database
UNCLOSED = """
import asyncio, sys, time
import zlmdb
from zlmdb.aio import open_database

folder, durability, way = sys.argv[1:]

async def main():
    db = await open_database(folder, durability=durability, sync=False)
    users = db.map(zlmdb.MapOidCbor(7))
    for number in range(1, 5001):
        users.put(number, number)
    if way == "reading":
        db.read(lambda txn: time.sleep(3600))
    if way == "interrupted":
        raise KeyboardInterrupt
    if way == "kept":
        global kept
        kept = db

if way == "closed":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
else:
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
print("ends", flush=True)
"""


@pytest.mark.crash
@pytest.mark.parametrize("way", ["run", "reading", "closed", "interrupted", "kept"])
@pytest.mark.parametrize("durability", ["commit", "queued"])
def test_a_loop_that_ends_without_closing_writes_what_was_accepted_and_does_not_hang(
    tmp_path: Path, durability: str, way: str
) -> None:
    with Child(["-X", "dev", "-c", UNCLOSED, tmp_path / "db", durability, way], tmp_path / "acks") as child:
        assert child.wait() == 0, child.output
        assert "ends\n" in child.output
        assert "ResourceWarning" in child.output
        assert "was not closed" in child.output
        assert "Traceback" not in child.output, child.output
    assert stored(tmp_path / "db") == set(range(1, 5001))


# another process has the write lock and never lets go
STUCK = """
import asyncio, sys
import zlmdb
from zlmdb.aio import open_database

async def main():
    db = await open_database(sys.argv[1])
    put = db.map(zlmdb.MapOidCbor(7)).put(1, 1)
    print("not written:", await db.close(deadline=0.05), type(put.exception()).__name__, flush=True)

asyncio.run(main())
"""


@pytest.mark.crash
def test_a_lock_held_by_another_process_does_not_hang_a_close_with_a_deadline(tmp_path: Path) -> None:
    stuck = Child(["-c", STUCK, tmp_path / "db"], tmp_path / "acks")
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True), stuck as child:
        assert child.wait() == 0, child.output
        assert "not written: 1 NotWritten" in child.output
    assert stored(tmp_path / "db") == set()


# a database that was closed leaves nothing that could hold up the interpreter, and no warning
CLOSED = """
import asyncio, logging, sys, threading
logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine it warns of steps that took long
import zlmdb
from zlmdb.aio import open_database

async def main():
    async with open_database(sys.argv[1]) as db:
        users = db.map(zlmdb.MapOidCbor(7))
        await asyncio.gather(*(users.put(number, number) for number in range(1, 101)))
        await users.select()
    if threading.active_count() != 1:
        raise SystemExit(threading.enumerate())

asyncio.run(main(), debug=True)
"""


def test_a_closed_database_ends_silently(tmp_path: Path) -> None:
    with Child(["-X", "dev", "-W", "error", "-c", CLOSED, tmp_path / "db"], tmp_path / "acks") as child:
        assert child.wait() == 0, child.output
        assert child.output == ""
    assert len(stored(tmp_path / "db")) == 100


# both faces on one file, on the loop that Twisted's asyncio reactor runs
BOTH = """
import asyncio, logging, sys
logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine it warns of steps that took long
from twisted.internet import asyncioreactor, defer
asyncioreactor.install()
from twisted.internet import reactor, task
import zlmdb, zlmdb.aio, zlmdb.twisted

def assured(found, expected):
    if found != expected:
        raise SystemExit(f"{found!r} instead of {expected!r}")

async def with_asyncio(folder, theirs):
    async with zlmdb.aio.open_database(folder, sync=False) as db:
        users = db.map(zlmdb.MapOidCbor(7))
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, 501):
                tasks.create_task(one(users, number))
        await theirs.put(1001, "by a task").asFuture(asyncio.get_running_loop())
        assured(await users.get(1001), "by a task")

async def one(users, number):
    await users.put(number, "asyncio")

async def main(reactor):
    async with zlmdb.twisted.open_database(sys.argv[1], reactor=reactor, sync=False) as db:
        users = db.map(zlmdb.MapOidCbor(7))
        other = defer.Deferred.fromFuture(asyncio.ensure_future(with_asyncio(sys.argv[1], users)))
        await defer.gatherResults([users.put(number, "twisted") for number in range(501, 1001)])
        await other
        assured([key async for key, _ in users.iterate(page_size=100)], list(range(1, 1002)))
    print("both are closed", flush=True)

task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
"""


def test_both_faces_live_in_one_process_on_one_file(tmp_path: Path) -> None:
    with Child(["-X", "dev", "-W", "error", "-c", BOTH, tmp_path / "db"], tmp_path / "acks") as child:
        assert child.wait() == 0, child.output
        assert child.output == "both are closed\n"
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        found = dict(zlmdb.MapOidCbor(7).select(txn))
    expected = ["asyncio"] * 500 + ["twisted"] * 500 + ["by a task"]
    assert found == dict(enumerate(expected, start=1))
