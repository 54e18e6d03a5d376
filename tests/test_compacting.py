# SPDX-License-Identifier: MIT
"""Compacting a database in its place: nobody else in it, no record lost by a kill, who waits sees the new file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import zlmdb
from tests.children import Held, fill, run
from zlmdb.errors import DatabaseMissing, LockHeld, NotADatabase, SchemaError
from zlmdb.storage import data_file
from zlmdb.storage.compacting import compact

words = zlmdb.MapStringString(1)
OPEN = "db = zlmdb.Database(sys.argv[1]); hold('open')"
COMPACT = """
from zlmdb.storage.compacting import compact
compact(sys.argv[1], lambda: hold('locked'))
"""


@pytest.fixture
def path(tmp_path: Path, lib_version: str) -> str:
    """A database of 2000 records, of which the last 100 are left: most of its pages are free."""
    where = tmp_path / "db"
    fill(where, lib_version)
    with zlmdb.Database(where) as db, db.begin(write=True) as txn:
        words.delete_many(txn, [f"{number:06}" for number in range(1900)])
    return str(where)


def contents(path: str) -> dict[str, str]:
    with zlmdb.Database(path, create=False) as db, db.begin() as txn:
        return dict(words.select(txn))


def names(path: str) -> list[str]:
    return sorted(each.name for each in Path(path).iterdir())


def test_free_pages_go_back_and_every_record_stays(path: str, lib_version: str) -> None:
    before = contents(path)
    mode = data_file(path).stat().st_mode
    sizes = compact(path)
    assert sizes.after == data_file(path).stat().st_size < sizes.before // 4
    assert contents(path) == before
    assert names(path) == ["data.mdb", "lock.mdb"]
    assert data_file(path).stat().st_mode == mode
    with zlmdb.Database(path) as db:
        assert db.lib_version == lib_version


def test_writing_goes_on_after_it(path: str) -> None:
    compact(path)
    run("with zlmdb.Database(sys.argv[1]) as db, db.begin(write=True) as txn: words[txn, 'new'] = 'x'", path)
    assert len(contents(path)) == 101


def test_it_is_refused_while_another_process_has_the_database_open(path: str) -> None:
    before = data_file(path).read_bytes()
    with Held(OPEN, path) as other:
        assert other.said() == "open"
        with pytest.raises(LockHeld, match="another process"):
            compact(path)
        other.finish()
    assert data_file(path).read_bytes() == before
    compact(path)


def test_it_is_refused_while_this_process_has_the_database_open_whose_locks_stay(path: str) -> None:
    with zlmdb.Database(path) as db:
        with pytest.raises(LockHeld, match="this process"):
            compact(path)
        with db.begin():
            reading = "[reader for reader in db.readers() if reader.txnid is not None]"
            run(f"db = zlmdb.Database(sys.argv[1]); db.clear_dead_readers(); assert len({reading}) == 1", path)


def test_a_missing_database_and_another_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing):
        compact(str(tmp_path / "missing"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(NotADatabase):
        compact(str(tmp_path / "other"))
    assert names(str(tmp_path / "other")) == ["data.mdb"]


def test_what_prepare_raises_leaves_the_file_as_it_was(path: str) -> None:
    before = data_file(path).read_bytes()

    def prepare() -> None:
        raise SchemaError("no")

    with pytest.raises(SchemaError):
        compact(path, prepare)
    assert data_file(path).read_bytes() == before
    assert len(contents(path)) == 100


def test_prepare_may_write_without_locks(path: str) -> None:
    def prepare() -> None:
        with zlmdb.Database(path, lock=False) as db, db.begin(write=True) as txn:
            words[txn, "prepared"] = "x"

    compact(path, prepare)
    assert contents(path)["prepared"] == "x"


def test_what_a_killed_run_left_is_removed(path: str) -> None:
    for name in ("compacting", "compacting.partial"):
        (Path(path) / name).mkdir()
        (Path(path) / name / "data.mdb").write_bytes(b"half")
    compact(path)
    assert names(path) == ["data.mdb", "lock.mdb"]


def waits_for_lock(pid: int) -> bool:
    """Whether the kernel has a process waiting for a lock of a file."""
    return any("->" in line and line.split()[5] == str(pid) for line in Path("/proc/locks").read_text().splitlines())


def wait_for(other: Held) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("who waits for a lock can be seen in /proc/locks alone")
    while not waits_for_lock(other.process.pid):  # the test's own timeout ends it
        assert other.process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_process_that_opens_it_meanwhile_waits_and_sees_the_new_file(path: str, readonly: bool) -> None:
    opening = f"""
with zlmdb.Database(sys.argv[1], readonly={readonly}) as db:
    with db.begin() as txn: hold(words.count(txn))
    with db.begin() as txn: hold(words.count(txn))
"""
    with Held(COMPACT, path) as compacting:
        assert compacting.said() == "locked"
        with Held(opening, path) as other:
            wait_for(other)
            compacting.finish()
            assert other.said() == "100"
            run("with zlmdb.Database(sys.argv[1]) as db, db.begin(write=True) as txn: words[txn, 'new'] = 'x'", path)
            other.go_on()
            assert other.said() == "101"
            other.finish()


def test_a_kill_after_the_swap_leaves_the_new_file_and_lets_no_one_see_an_empty_database(path: str) -> None:
    # what waits must not go on with the number of the last transaction in the old lock file
    swap = """
from zlmdb.storage import compacting
compacting.open_raw = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
compacting.compact(sys.argv[1], lambda: hold('locked'))
"""
    opening = """
try:
    db = zlmdb.Database(sys.argv[1])
    with db.begin() as txn: print(words.count(txn), flush=True)
except errors.DatabaseError as exc:
    print("refused", flush=True)
"""
    with Held(swap, path) as compacting:
        assert compacting.said() == "locked"
        with Held(opening, path) as other:
            wait_for(other)
            compacting.process.communicate("\n")
            assert other.said() == "refused"
    assert len(contents(path)) == 100
    assert names(path) == ["data.mdb", "lock.mdb"]
