# SPDX-License-Identifier: MIT
"""Copies of a database: hot backups, and conversions between the formats."""

import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest
from lmdb.verify import verify

import zlmdb
from tests.children import Held, fill, run
from zlmdb import errors, storage
from zlmdb.storage import copying

words = zlmdb.MapStringString(1)
OTHER = {"0.9": "1.0", "1.0": "0.9"}


def contents(path: Path) -> dict[str, str]:
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn:
        return dict(words.select(txn))


@pytest.mark.parametrize("compact", [True, False])
def test_a_backup_is_the_database_as_it_was_and_goes_on_as_its_own(
    tmp_path: Path, lib_version: str, compact: bool
) -> None:
    fill(tmp_path / "db", lib_version)
    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            for key in list(words.select(txn, return_values=False))[:1500]:
                del words[txn, key]
        full = (tmp_path / "db" / "data.mdb").stat().st_size
        size = db.backup(tmp_path / "copy", compact=compact)
        with db.begin(write=True) as txn:
            words[txn, "later"] = "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "db"]
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["data.mdb"]
    assert (tmp_path / "copy" / "data.mdb").stat().st_size == size
    assert (size < full) is compact
    assert len(contents(tmp_path / "copy")) == 500
    with zlmdb.Database(tmp_path / "copy") as copy:
        assert copy.lib_version == lib_version
        with copy.begin(write=True) as txn:
            words[txn, "own"] = "x"
    assert "own" not in contents(tmp_path / "db")


def test_a_backup_may_be_made_inside_a_write_transaction_and_has_what_is_committed(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        words[txn, "kept"] = "x"
    with db.begin(write=True) as txn:
        words[txn, "open"] = "x"
        db.backup(db.dbpath + "-copy")
    assert contents(Path(db.dbpath + "-copy")) == {"kept": "x"}


def test_a_copy_has_the_modes_of_its_source(db: zlmdb.Database) -> None:
    source = Path(db.dbpath)
    source.chmod(0o700)
    (source / "data.mdb").chmod(0o600)
    db.backup(source.with_name("copy"))
    zlmdb.convert(db.dbpath, str(source.with_name("converted")))
    for name in ("copy", "converted"):
        assert stat.S_IMODE(source.with_name(name).stat().st_mode) == 0o700
        assert stat.S_IMODE((source.with_name(name) / "data.mdb").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(), lambda path: path.write_text("x"), lambda path: path.symlink_to("none")]
)
def test_an_existing_target_is_refused_and_left_alone(db: zlmdb.Database, tmp_path: Path, make) -> None:
    target = tmp_path / "copy"
    make(target)
    for copy in (lambda: db.backup(target), lambda: zlmdb.convert(db.dbpath, str(target))):
        with pytest.raises(errors.TargetExists) as caught:
            copy()
        assert isinstance(caught.value, FileExistsError)
    assert os.path.lexists(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "db"]


def test_what_a_killed_run_left_is_removed_and_what_others_made_is_not(db: zlmdb.Database, tmp_path: Path) -> None:
    left = tmp_path / "copy.partial"
    left.mkdir()
    (left / "data.mdb").write_text("half")
    db.backup(tmp_path / "copy")
    assert not left.exists()
    left = tmp_path / "second.partial"
    left.mkdir()
    (left / "letter.txt").write_text("dear")
    with pytest.raises(errors.TargetExists):
        db.backup(tmp_path / "second")
    assert (left / "letter.txt").read_text() == "dear"


def test_two_processes_do_not_make_the_same_copy(db: zlmdb.Database, tmp_path: Path) -> None:
    (tmp_path / "copy.partial").mkdir()
    descriptor = os.open(tmp_path / "copy.partial", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(errors.LockHeld):
        db.backup(tmp_path / "copy")
    os.close(descriptor)
    db.backup(tmp_path / "copy")


def test_a_missing_parent_directory_is_said(db: zlmdb.Database, tmp_path: Path) -> None:
    with pytest.raises(errors.DatabaseMissing) as caught:
        db.backup(tmp_path / "no" / "copy")
    assert str(tmp_path / "no") in str(caught.value)


def test_a_damaged_copy_is_found_and_removed(
    db: zlmdb.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.begin(write=True) as txn:
        for number in range(500):
            words[txn, f"{number:04}"] = "y" * 100
    copy = storage.Environment.copy

    def bad_disk(self, directory, *args):
        copy(self, directory, *args)
        flip(Path(directory) / "data.mdb")

    def flip(data: Path) -> None:
        page = bytearray(data.read_bytes())
        page[3 * 4096 : 3 * 4096 + 64] = b"\xff" * 64
        data.write_bytes(page)

    monkeypatch.setattr(storage.Environment, "copy", bad_disk)
    with pytest.raises(errors.CopyDamaged) as caught:
        db.backup(tmp_path / "copy")
    assert caught.value.problems
    monkeypatch.setattr(copying, "_slices", lambda txn: iter([[(b"\0\1a", b"b")]]))
    with pytest.raises(errors.CopyDamaged):
        zlmdb.convert(db.dbpath, str(tmp_path / "copy"))
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def test_an_error_of_the_system_is_ours_and_leaves_nothing(
    db: zlmdb.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.DiskFull):
        db.backup(tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def test_a_resize_waits_for_a_backup(db: zlmdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, copying_now, going = storage.Environment.copy, threading.Event(), threading.Event()

    def slow(self, *args):
        copying_now.set()
        going.wait()
        copy(self, *args)

    monkeypatch.setattr(storage.Environment, "copy", slow)
    thread = threading.Thread(target=db.backup, args=(db.dbpath + "-copy",))
    thread.start()
    copying_now.wait()
    with pytest.raises(errors.TransactionsRunning):
        db.resize(1 << 30, timeout=0)
    going.set()
    thread.join()
    db.resize(1 << 30)


SNAPSHOT = """
with zlmdb.Database(sys.argv[1]) as db, db.begin() as txn:
    hold("ready")
    assert list(words.select(txn)) == [(f"{number:06}", "x" * 100) for number in range(2000)]
"""


def test_a_snapshot_of_another_process_stays_intact_through_backup_and_conversion(
    tmp_path: Path, lib_version: str
) -> None:
    fill(tmp_path / "db", lib_version)
    with Held(SNAPSHOT, tmp_path / "db") as reader:
        assert reader.said() == "ready"
        with zlmdb.Database(tmp_path / "db") as db:
            db.backup(tmp_path / "copy")
            zlmdb.convert(db.dbpath, str(tmp_path / "converted"), OTHER[lib_version])
            for round_ in range(30):  # had its slot been freed, its pages would be used again now
                with db.begin(write=True) as txn:
                    for number in range(0, 2000, 20):
                        words[txn, f"{number:06}"] = f"{round_}" * 50
        reader.finish()
    assert contents(tmp_path / "copy") == contents(tmp_path / "converted")


WRITING = """
with zlmdb.Database(sys.argv[1]) as db:
    for round_ in range(30):
        with db.begin(write=True) as txn:
            for number in range(0, 2000, 20):
                words[txn, f"{number:06}"] = f"{round_}" * 50
"""


def test_a_snapshot_of_this_process_stays_intact_through_backup_and_conversion(
    tmp_path: Path, lib_version: str
) -> None:
    fill(tmp_path / "db", lib_version)
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as snapshot:
        db.backup(tmp_path / "copy")
        zlmdb.convert(db.dbpath, str(tmp_path / "converted"), OTHER[lib_version])
        run(WRITING, tmp_path / "db")  # would take this process for dead, had a copy dropped its locks
        assert dict(words.select(snapshot)) == contents(tmp_path / "copy")


@pytest.mark.parametrize("is_open", [False, True])
def test_a_conversion_has_all_records_in_the_other_format(tmp_path: Path, lib_version: str, is_open: bool) -> None:
    fill(tmp_path / "db", lib_version, records=3000, size=5000)
    data = tmp_path / "db" / "data.mdb"
    before, told = data.read_bytes(), []
    db = zlmdb.Database(tmp_path / "db", open_now=is_open)
    done = zlmdb.convert(tmp_path / "db", tmp_path / "new", OTHER[lib_version], told.append)
    db.close()
    assert done == told[-1] == 3000
    assert len(told) == 2  # slices
    assert data.read_bytes() == before
    assert storage.sniff(tmp_path / "new").lib_version == OTHER[lib_version]
    assert not verify(str(tmp_path / "new"))
    assert contents(tmp_path / "new") == contents(tmp_path / "db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "new"]


def test_an_empty_database_and_empty_values_are_converted(db: zlmdb.Database, tmp_path: Path) -> None:
    assert zlmdb.convert(db.dbpath, str(tmp_path / "none"), "1.0") == 0
    with db.begin(write=True) as txn:
        txn.put(b"\0\1", b"")
        txn.put(b"\xff\xff\xff", b"\0" * 100_000)
    assert zlmdb.convert(db.dbpath, str(tmp_path / "some"), OTHER[db.lib_version]) == 2
    with zlmdb.Database(tmp_path / "some") as copy, copy.begin() as txn:
        assert txn.get(b"\0\1") == b""
        assert txn.get(b"\xff\xff\xff") == b"\0" * 100_000


def test_a_key_too_long_for_the_format_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", lib_version="1.0") as db, db.begin(write=True) as txn:
        words[txn, "a"] = "short"
        txn.put(b"\0\7" + b"k" * 509, b"just fits")
        assert zlmdb.convert(db.dbpath, str(tmp_path / "fits"), "0.9") == 0  # what is committed
        txn.put(b"\0\7" + b"k" * 510, b"does not")
    with pytest.raises(errors.KeyTooLong) as caught:
        zlmdb.convert(tmp_path / "db", tmp_path / "new", "0.9")
    assert (caught.value.slot, caught.value.size, caught.value.limit) == (7, 512, 511)
    assert "slot 7" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "fits"]
    assert zlmdb.convert(tmp_path / "db", tmp_path / "same", "1.0") == 3


KILLED = """
import zlmdb
zlmdb.convert(sys.argv[1], sys.argv[2], sys.argv[3], lambda done: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_conversion_that_is_killed_leaves_only_what_the_next_one_removes(tmp_path: Path, lib_version: str) -> None:
    fill(tmp_path / "db", lib_version, records=3000, size=5000)
    before = (tmp_path / "db" / "data.mdb").read_bytes()
    with Held(KILLED, tmp_path / "db", tmp_path / "new", OTHER[lib_version]) as child:
        assert child.process.wait(60) == -9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "new.partial"]
    assert (tmp_path / "db" / "data.mdb").read_bytes() == before
    assert zlmdb.convert(tmp_path / "db", tmp_path / "new", OTHER[lib_version]) == 3000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "new"]


def test_what_is_no_database_of_ours_is_not_converted(tmp_path: Path, lib_version: str) -> None:
    with pytest.raises(errors.DatabaseMissing):
        zlmdb.convert(tmp_path / "none", tmp_path / "new")
    with pytest.raises(errors.ConfigError):
        zlmdb.convert(tmp_path / "none", tmp_path / "new", "2.0")
    run(
        "import lmdb; env = lmdb.open(sys.argv[1], max_dbs=2, lib_version=int(sys.argv[2])); env.open_db(b'names')",
        tmp_path / "named",
        ["0.9", "1.0"].index(lib_version),
    )
    with pytest.raises(errors.NotADatabase) as caught:
        zlmdb.convert(tmp_path / "named", tmp_path / "new")
    assert "names" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["named"]
