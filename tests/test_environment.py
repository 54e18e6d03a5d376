# SPDX-License-Identifier: MIT
"""Opening, sharing and closing database files."""

import os
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import lmdb
import pytest

import zlmdb
from tests.children import hard, run
from zlmdb import errors
from zlmdb.storage import sniff

words = zlmdb.MapStringString(1)


def test_handles_of_one_process_share_the_file_and_the_last_one_closes_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "db")
    first = zlmdb.Database(tmp_path / "db")
    second = zlmdb.Database.open(tmp_path / "link")
    third = zlmdb.Database.open(os.path.relpath(tmp_path / "db"))
    assert first.environment is second.environment is third.environment
    with first.begin(write=True) as txn:
        words[txn, "a"] = "1"
    first.close()
    first.close()
    second.close()
    with third.begin() as txn:
        assert words[txn, "a"] == "1"
    third.close()
    with zlmdb.Database(tmp_path / "db") as again, again.begin() as txn:
        assert words[txn, "a"] == "1"


def test_a_closed_database_is_refused_and_can_be_opened_again(tmp_path: Path) -> None:
    db = zlmdb.Database(tmp_path / "db")
    db.close()
    for use in (db.begin, db.sync, db.stats, lambda: db.attach_table(words.__class__), lambda: db.max_key_size):
        with pytest.raises(errors.DatabaseClosed) as caught:
            use()
        assert str(tmp_path / "db") in str(caught.value)
    assert not db.is_open
    with db as again:
        assert again is db
        assert again.is_open
        with again as same:
            assert same is db


@pytest.mark.parametrize(
    ("name", "value"),
    [("readonly", True), ("sync", False), ("writemap", True), ("lock", False), ("lib_version", "0.9")],
)
def test_options_that_conflict_with_an_open_handle_are_refused(tmp_path: Path, name: str, value: object) -> None:
    with zlmdb.Database(tmp_path / "db", lib_version="1.0", context="one") as db:
        with pytest.raises(errors.OptionsConflict) as caught:
            zlmdb.Database(tmp_path / "db", **{name: value})
        assert name in str(caught.value)
        with zlmdb.Database(tmp_path / "db", context="two") as other:
            assert other.context == "two"
        assert db.is_open


def test_the_largest_maxsize_wins(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20) as db:
        with zlmdb.Database(tmp_path / "db", maxsize=1 << 22), zlmdb.Database(tmp_path / "db", maxsize=1 << 19):
            assert db.stats()["max_size"] == 1 << 22
        with db.begin(write=True) as txn:
            words[txn, "a"] = "x" * (3 << 20)


def test_a_file_without_a_ceiling_stays_small(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        assert db.stats()["max_size"] >= 1 << 30
        assert (tmp_path / "db" / "data.mdb").stat().st_size < 1 << 16


def test_new_files_have_the_format_asked_for_and_old_ones_keep_theirs(tmp_path: Path, lib_version: str) -> None:
    path = tmp_path / "db"
    with zlmdb.Database(path, lib_version=lib_version):
        pass
    assert sniff(path).lib_version == lib_version
    with zlmdb.Database(path) as db:
        assert db.lib_version == lib_version
        assert db.max_key_size == {"0.9": 511, "1.0": 1978}[lib_version]
    other = {"0.9": "1.0", "1.0": "0.9"}[lib_version]
    before = (path / "data.mdb").read_bytes()
    with pytest.raises(errors.FormatMismatch) as caught:
        zlmdb.Database(path, lib_version=other)
    assert isinstance(caught.value, ValueError)
    assert (path / "data.mdb").read_bytes() == before


def test_the_default_format_is_1_0(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        assert db.lib_version == "1.0"


def filled(path: Path, lib_version: str) -> Path:
    with zlmdb.Database(path, lib_version=lib_version) as db, db.begin(write=True) as txn:
        for number in range(2000):
            words[txn, str(number)] = "x" * 100
    return path / "data.mdb"


def test_a_file_cut_short_is_refused_before_it_can_end_the_process(tmp_path: Path, lib_version: str) -> None:
    data = filled(tmp_path / "db", lib_version)
    os.truncate(data, data.stat().st_size // 2)
    before = data.read_bytes()
    with pytest.raises(errors.NotADatabase) as caught:
        zlmdb.Database(tmp_path / "db")
    assert "cut short" in str(caught.value)
    assert isinstance(caught.value, lmdb.InvalidError)
    assert data.read_bytes() == before


def test_a_file_that_lacks_only_pages_nobody_reads_is_opened(tmp_path: Path, lib_version: str) -> None:
    data = filled(tmp_path / "db", lib_version)
    found = sniff(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        words.truncate(txn)
    live = sniff(tmp_path / "db")
    assert live.last_page >= found.last_page
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert words.count(txn) == 0
    assert data.exists()


def patched(data: Path, offset: int, packed: bytes) -> None:
    page = bytearray(data.read_bytes())
    for start in (offset, offset + 4096):
        page[start : start + len(packed)] = packed
    data.write_bytes(page)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda data, at: data.write_bytes(b"not a database" * 1000), errors.NotADatabase),
        (lambda data, at: data.write_bytes(b"x"), errors.NotADatabase),
        (lambda data, at: patched(data, at, struct.pack(">I", 0xBEEFC0DE)), errors.NotADatabase),
        (lambda data, at: patched(data, at + 4, struct.pack("=I", 2)), errors.FormatMismatch),
        (lambda data, at: patched(data, at + 4, struct.pack("=I", 99)), errors.FormatMismatch),
        (lambda data, at: os.truncate(data, 100), errors.NotADatabase),
    ],
    ids=["text", "one byte", "other byte order", "development format", "newer format", "half a meta page"],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path, lib_version: str, damage, error) -> None:
    data = filled(tmp_path / "db", lib_version)
    damage(data, 16 if lib_version == "0.9" else 24)
    before = data.read_bytes()
    with pytest.raises(error) as caught:
        zlmdb.Database(tmp_path / "db")
    assert "data.mdb" in str(caught.value)
    assert data.read_bytes() == before


def test_missing_directories_and_databases_are_refused(tmp_path: Path) -> None:
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(errors.DatabaseMissing) as caught:
            zlmdb.Database(tmp_path / "none", **options)
        assert isinstance(caught.value, FileNotFoundError)
        assert not (tmp_path / "none").exists()
    with pytest.raises(errors.DatabaseMissing):
        zlmdb.Database(tmp_path / "no" / "such" / "parent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.NotADatabase):
        zlmdb.Database(tmp_path / "file")


@pytest.mark.parametrize("options", [{"lib_version": "2.0"}, {"lib_version": 1}, {"maxsize": 0}, {"maxsize": "1G"}])
def test_options_that_mean_nothing_are_refused(tmp_path: Path, options: dict) -> None:
    with pytest.raises(errors.ConfigError):
        zlmdb.Database(tmp_path / "db", **options)
    assert not (tmp_path / "db").exists()


def test_a_failed_open_does_not_stand_in_the_way_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "data.mdb").write_text("not a database")
    with pytest.raises(errors.NotADatabase):
        zlmdb.Database(tmp_path / "db")
    zlmdb.Database.scratch(tmp_path / "db")
    zlmdb.Database.scratch(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db"):
        pass


def test_a_database_made_anew_at_an_open_path_is_another_one(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as old:
        with old.begin(write=True) as txn:
            words[txn, "a"] = "old"
        zlmdb.Database.scratch(tmp_path / "db")
        with zlmdb.Database(tmp_path / "db") as new, new.begin() as txn:
            assert words[txn, "a"] is None
        with old.begin() as txn:
            assert words[txn, "a"] == "old"


def test_a_temporary_database_goes_away_at_closing() -> None:
    db = zlmdb.Database()
    assert Path(db.dbpath).is_dir()
    assert db.config()["is_temp"]
    db.close()
    assert not Path(db.dbpath).exists()


AT_THE_END = """
db = zlmdb.Database()
with db.begin() as txn:
    pass
kept_in_a_cycle = lambda: (db, txn, kept_in_a_cycle)
print(db.dbpath)
"""


def test_a_temporary_database_goes_away_at_the_end_of_the_interpreter() -> None:
    assert not Path(run(AT_THE_END).strip()).exists()


FORKING = """
import os, subprocess, sys, zlmdb
from zlmdb import errors

def refused(use):
    try:
        use()
    except errors.ForkedError as exc:
        assert exc.next_step
    else:
        os._exit(1)

words = zlmdb.MapStringString(1)
path = sys.argv[1]
db = zlmdb.Database(path)
with db.begin(write=True) as txn:
    words[txn, "a"] = "1"
with db.begin() as snapshot:
    with db.begin(write=True) as txn:
        words[txn, "a"] = "2"
        pid = os.fork()
        if pid == 0:
            refused(lambda: db.begin().__enter__())
            refused(lambda: zlmdb.Database(path))
            refused(lambda: words.__setitem__((txn, "b"), "3"))
            refused(lambda: words[snapshot, "a"])
            with zlmdb.Database(path + "-of-child") as own, own.begin(write=True) as other:
                words[other, "c"] = "4"
            txn.__exit__(None, None, None)
            snapshot.__exit__(None, None, None)
            db.close()
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    # what the child did freed neither the write lock nor the slot of the parent's snapshot
    subprocess.run([sys.executable, "-c", sys.argv[2], path], check=True)
    assert dict(words.select(snapshot)) == {"a": "1"}
with db.begin() as txn:
    assert words[txn, "a"] == "2"
    assert words[txn, "b"] is None
db.close()
"""


WRITING = """
import sys, zlmdb
with zlmdb.Database(sys.argv[1]) as db:
    for number in range(50):
        with db.begin(write=True) as txn:
            zlmdb.MapStringString(1)[txn, "x"] = "y" * 5000
"""


def test_a_forked_child_is_refused_and_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", hard(FORKING), str(tmp_path / "db"), WRITING], check=True, timeout=60)


def test_another_process_reads_and_writes_beside_this_one(tmp_path: Path) -> None:
    code = """
import sys, zlmdb
words = zlmdb.MapStringString(1)
with zlmdb.Database(sys.argv[1], maxsize=1 << 24) as db, db.begin(write=True) as txn:
    words[txn, "theirs"] = words[txn, "ours"] + "x" * (1 << 22)
"""
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20) as db:  # the other one grows the file past this
        with db.begin(write=True) as txn:
            words[txn, "ours"] = "1"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "db")], check=True, timeout=60)
        with db.begin() as txn:
            assert len(words[txn, "theirs"]) == 1 + (1 << 22)
        with db.begin(write=True) as txn:
            words[txn, "ours"] = "2"


def test_closing_inside_a_transaction_of_this_thread_rolls_it_back(tmp_path: Path) -> None:
    db = zlmdb.Database(tmp_path / "db")
    with pytest.raises(errors.DatabaseClosed), db.begin(write=True) as txn:
        words[txn, "a"] = "1"
        db.close()
        with pytest.raises(errors.TransactionFinished):
            words[txn, "a"]
    with zlmdb.Database(tmp_path / "db") as again, again.begin() as txn:
        assert words[txn, "a"] is None


def test_closing_waits_for_a_transaction_of_another_thread(tmp_path: Path) -> None:
    db = zlmdb.Database(tmp_path / "db")
    began, closing = threading.Event(), threading.Event()

    def write() -> None:
        with db.begin(write=True) as txn:
            began.set()
            closing.wait()
            words[txn, "a"] = "1"

    thread = threading.Thread(target=write)
    thread.start()
    began.wait()
    threading.Timer(0, closing.set).start()
    db.close()
    thread.join()
    with zlmdb.Database(tmp_path / "db") as again, again.begin() as txn:
        assert words[txn, "a"] == "1"


def test_a_database_that_was_not_closed_warns(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        db = zlmdb.Database(tmp_path / "db")
        del db
    assert [warning.category for warning in caught] == [ResourceWarning]
    with zlmdb.Database(tmp_path / "db", sync=False):  # and was closed all the same
        pass


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with zlmdb.Database.open(tmp_path / "db"), zlmdb.Database.open(tmp_path / "db"):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_buffers_transaction_counts_ranges(tmp_path: Path) -> None:
    filled(tmp_path / "db", "1.0")
    with zlmdb.Database(tmp_path / "db") as db, db.begin(buffers=True) as txn:
        assert words.count(txn) == 2000
        assert words.count(txn, "19") == 111
