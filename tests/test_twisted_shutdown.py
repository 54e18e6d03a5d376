# SPDX-License-Identifier: MIT
"""The ends of processes: whatever was acknowledged or accepted is in the file after any stop that is not a kill."""

import signal
from pathlib import Path

import pytest

import zlmdb
from tests.crash.processes import Child

# puts one record after the other, as fast as the reactor turns; notes what was accepted, acknowledges what fired
TRAFFIC = """
import os, sys
from twisted.internet import defer, reactor
from twisted.python.failure import Failure
import zlmdb
from zlmdb.errors import DatabaseClosed
from zlmdb.twisted import open_database

folder, acks, accepted, durability = sys.argv[1:]
acks = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
accepted = os.open(accepted, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def acknowledge(_, number):
    os.write(acks, b"ACK %d\\n" % number)

async def main():
    db = await open_database(folder, durability=durability, max_pending=500)
    users = db.map(zlmdb.MapOidCbor(7))
    number = 0
    def some():
        nonlocal number
        for _ in range(20):
            number += 1
            put = users.put(number, {"number": number, "text": "x" * 200})
            if isinstance(getattr(put, "result", None), Failure):
                put.addErrback(lambda failure: failure.trap(DatabaseClosed))
                return
            os.write(accepted, b"ACK %d\\n" % number)
            put.addCallback(acknowledge, number)
        reactor.callLater(0, some)
    some()

reactor.callWhenRunning(lambda: defer.ensureDeferred(main()).addErrback(lambda f: (f.printTraceback(), os._exit(3))))
reactor.run()
print("the reactor has ended", flush=True)
"""


def stored(folder: Path) -> set[int]:
    with zlmdb.Database(folder) as db, db.begin() as txn:
        return set(zlmdb.MapOidCbor(7).select(txn, return_values=False))


def noted(path: Path) -> list[int]:
    return [int(line.split()[1]) for line in path.read_text().splitlines()]


@pytest.mark.crash
@pytest.mark.parametrize("durability", ["commit", "queued"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_traffic_loses_nothing_accepted(
    tmp_path: Path, durability: str, number: signal.Signals
) -> None:
    acks, accepted = tmp_path / "acks", tmp_path / "accepted"
    with Child(["-c", TRAFFIC, tmp_path / "db", acks, accepted, durability], acks) as child:
        child.wait_for_acks(500)
        child.kill(number)
        assert "the reactor has ended" in child.output
        assert "Traceback" not in child.output
    assert set(noted(accepted)) == stored(tmp_path / "db")
    assert set(noted(acks)) == stored(tmp_path / "db")


@pytest.mark.crash
def test_a_kill_loses_nothing_that_was_acknowledged_after_its_commit(tmp_path: Path) -> None:
    acks = tmp_path / "acks"
    with Child(["-c", TRAFFIC, tmp_path / "db", acks, tmp_path / "accepted", "commit"], acks) as child:
        child.wait_for_acks(500)
        child.kill()
    assert set(noted(acks)) <= stored(tmp_path / "db")


# leaves the reactor without its shutdown, as a crash of the main loop does, and ends the interpreter
UNCLOSED = """
import sys
from twisted.internet import defer, reactor
import zlmdb
from zlmdb.twisted import open_database

async def main():
    db = await open_database(sys.argv[1], durability="queued", sync=False)
    users = db.map(zlmdb.MapOidCbor(7))
    for number in range(1, 5001):
        users.put(number, number)
    db.read(lambda txn: __import__("time").sleep(3600) if sys.argv[2] == "reading" else None)
    reactor.crash()

reactor.callWhenRunning(lambda: defer.ensureDeferred(main()))
reactor.run()
print("ends", flush=True)
"""


@pytest.mark.crash
@pytest.mark.parametrize("also", ["nothing", "reading"])
def test_an_interpreter_that_exits_without_closing_writes_what_was_accepted_and_does_not_hang(
    tmp_path: Path, also: str
) -> None:
    with Child(["-X", "dev", "-c", UNCLOSED, tmp_path / "db", also], tmp_path / "acks") as child:
        assert child.wait() == 0, child.output
        assert "ResourceWarning" in child.output
        assert "was not closed" in child.output
    assert stored(tmp_path / "db") == set(range(1, 5001))


# another process has the write lock and never lets go; the reactor is told to stop all the same
STUCK = """
import sys
from twisted.internet import defer, reactor
import zlmdb
from zlmdb.twisted import open_database

async def main():
    db = await open_database(sys.argv[1], shutdown_deadline=0.05)
    put = db.map(zlmdb.MapOidCbor(7)).put(1, 1)
    put.addErrback(lambda failure: print(failure.type.__name__, flush=True))
    reactor.stop()

reactor.callWhenRunning(lambda: defer.ensureDeferred(main()))
reactor.run()
print("the reactor has ended", flush=True)
"""


@pytest.mark.crash
def test_a_lock_held_by_another_process_does_not_hang_a_shutdown_with_a_deadline(tmp_path: Path) -> None:
    stuck = Child(["-c", STUCK, tmp_path / "db"], tmp_path / "acks")
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True), stuck as child:
        assert child.wait() == 0, child.output
        assert "NotWritten\n" in child.output
        assert "the reactor has ended" in child.output
    assert stored(tmp_path / "db") == set()


# a database that was closed leaves nothing that could hold up the interpreter, and no warning
CLOSED = """
import sys, threading
from twisted.internet import defer, task
import zlmdb
from zlmdb.twisted import open_database

async def main(reactor):
    async with await open_database(sys.argv[1], reactor=reactor) as db:
        users = db.map(zlmdb.MapOidCbor(7))
        await defer.gatherResults([users.put(number, number) for number in range(100)])
        await users.select()
    assert threading.active_count() == 1, threading.enumerate()

task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
"""


def test_a_closed_database_ends_silently(tmp_path: Path) -> None:
    with Child(["-X", "dev", "-W", "error", "-c", CLOSED, tmp_path / "db"], tmp_path / "acks") as child:
        assert child.wait() == 0, child.output
        assert child.output == ""
    assert len(stored(tmp_path / "db")) == 100
