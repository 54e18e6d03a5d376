# SPDX-License-Identifier: MIT
"""What the machine does to a database: full disks, no access, containers with equal process ids, network drives."""

import logging
import os
import tempfile
from pathlib import Path

import pytest

import zlmdb
from tests.children import Held, fill, namespace, run
from zlmdb import errors
from zlmdb.storage import filesystems, opening

words = zlmdb.MapStringString(1)

# --- full disks

ON_A_FULL_DISK = """
from lmdb import DiskError
from lmdb.verify import verify
disk, lib_version = sys.argv[1:]
assert os.system(f"mount -t tmpfs -o size=2m none {disk}") == 0

def put(key, size):
    with db.begin(write=True) as txn:
        words[txn, key] = "x" * size

def spill():
    # a value of more pages than a transaction may hold back makes LMDB write out what it has so far
    with db.begin(write=True) as txn:
        for number in range(600):
            words[txn, f"{number:04}"] = "x" * 5000
        try:
            txn.put(b"\\0\\1big", bytes(600 << 20))
        finally:
            assert isinstance(txn.poison, errors.DiskFull), txn.poison

def state():
    with db.begin() as txn:
        return dict(words.select(txn))

db = zlmdb.Database(disk + "/db", lib_version=lib_version)
put("kept", 10)
for attempt in range(2):
    full = refused(errors.DiskFull, put, "lost", 3 << 20)
    assert isinstance(full, DiskError) and full.path == disk + "/db"
    assert state() == {"kept": "x" * 10}
refused(errors.DiskFull, spill)
put("in the pages that were written in vain", 10)
Path(disk + "/other").mkdir()
filler = Path(disk + "/filler")
try:
    filler.write_bytes(bytes(4 << 20))
except OSError:
    pass
for compact in (True, False):
    refused(errors.DiskFull, db.backup, disk + "/copy", compact=compact)
refused(errors.DiskFull, zlmdb.convert, disk + "/db", disk + "/copy", "1.0")
refused(errors.DiskFull, zlmdb.Database, disk + "/other/new")
assert sorted(os.listdir(disk)) == ["db", "filler", "other"]
assert not os.listdir(disk + "/other")
db.close()
db = zlmdb.Database(disk + "/db")  # what is there can be opened on the full disk
assert len(state()) == 2
filler.unlink()
put("after", 10)
assert len(state()) == 3
db.close()
assert not verify(disk + "/db")
"""


def test_a_full_disk_loses_nothing_and_is_got_over(tmp_path: Path, lib_version: str) -> None:
    run(ON_A_FULL_DISK, tmp_path, lib_version, prefix=namespace("mount"))


UNDER_A_LIMIT = """
import resource
db = zlmdb.Database(sys.argv[1], lib_version=sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
def put(size):
    with db.begin(write=True) as txn:
        words[txn, "a"] = "x" * size
put(10)
refused(errors.DiskFull, put, 1 << 18)
put(20)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
put(1 << 18)
db.close()
"""


def test_a_limit_on_file_sizes_is_like_a_full_disk(tmp_path: Path, lib_version: str) -> None:
    run(UNDER_A_LIMIT, tmp_path / "db", lib_version)


def test_writemap_is_refused_where_the_map_has_no_room(tmp_path: Path) -> None:
    with pytest.raises(errors.DiskFull) as caught:
        zlmdb.Database(tmp_path / "db", maxsize=1 << 60, writemap=True)
    assert caught.value.expected == f"{1 << 60} bytes free"
    assert not (tmp_path / "db").exists()
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, writemap=True) as db:
        with pytest.raises(errors.DiskFull):
            db.resize(filesystems.free_bytes(tmp_path) + (1 << 40))
        db.resize(1 << 21)
        with db.begin(write=True) as txn:
            words[txn, "a"] = "x" * (1 << 20)


# --- no access

AS_NOBODY = """
path = Path(sys.argv[1])
def refusals():
    refused(errors.AccessDenied, zlmdb.Database, path / "db")
    refused(errors.AccessDenied, zlmdb.Database, path / "new")
    refused(errors.AccessDenied, zlmdb.convert, str(path / "db"), str(path / "new"))
    assert refused(errors.AccessDenied, zlmdb.Database, path / "db", readonly=True).errno is None
    refused(PermissionError, zlmdb.Database, path / "secret")
    refused(errors.AccessDenied, zlmdb.Database, path / "secret", readonly=True, lock=False)
    with zlmdb.Database(path / "db", readonly=True, lock=False) as db, db.begin() as txn:
        assert words.count(txn) == 2000
        refused(errors.AccessDenied, db.backup, path / "copy")

import zlmdb.storage.copying  # while Python's own files may still be read
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
refusals()
"""


def state(path: Path) -> dict[str, bytes | None]:
    return {str(entry): entry.read_bytes() if entry.is_file() else None for entry in path.rglob("*")}


def test_what_may_not_be_read_or_written_is_said_and_left_alone(lib_version: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # the directories of tests are closed to others as a whole
        path = Path(name)
        fill(path / "db", lib_version)
        fill(path / "secret", lib_version)
        (path / "secret" / "data.mdb").chmod(0)
        (path / "db" / "data.mdb").chmod(0o444)
        (path / "db" / "lock.mdb").chmod(0o444)
        before = state(path) if os.geteuid() == 0 else None
        (path / "db").chmod(0o555)
        path.chmod(0o555)
        run(AS_NOBODY, path)
        path.chmod(0o755)
        (path / "db").chmod(0o755)
        assert before is None or state(path) == before


ON_A_READ_ONLY_MOUNT = """
path = Path(sys.argv[1])
assert os.system(f"mount --bind {path} {path} && mount -o remount,ro,bind {path}") == 0
refused(errors.AccessDenied, zlmdb.Database, path / "db")
refused(errors.AccessDenied, zlmdb.Database, path / "new")
for lock in (True, False):
    with zlmdb.Database(path / "db", readonly=True, lock=lock) as db, db.begin() as txn:
        assert words.count(txn) == 2000
        refused(errors.AccessDenied, db.backup, path / "copy")
"""


def test_a_file_system_mounted_read_only_can_be_read(tmp_path: Path, lib_version: str) -> None:
    prefix = namespace("mount")
    fill(tmp_path / "db", lib_version)
    before = state(tmp_path)
    run(ON_A_READ_ONLY_MOUNT, tmp_path, prefix=prefix)
    assert state(tmp_path) == before


def test_a_directory_where_the_data_file_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db" / "data.mdb").mkdir(parents=True)
    with pytest.raises(errors.NotADatabase):
        zlmdb.Database(tmp_path / "db")
    assert [path.name for path in (tmp_path / "db").iterdir()] == ["data.mdb"]


def test_an_empty_data_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "data.mdb").touch()
    for options in ({"readonly": True}, {"create": False}):
        with pytest.raises(errors.DatabaseMissing):
            zlmdb.Database(tmp_path / "db", **options)
        assert state(tmp_path / "db") == {str(tmp_path / "db" / "data.mdb"): b""}
    # it is what a process that is killed while it makes a database leaves: the next one must be able to go on
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert words.count(txn) == 0


# --- equal process ids

OPENING = """
assert os.getpid() == 1, "the first process of a namespace"
with zlmdb.Database(sys.argv[1], lib_version=sys.argv[2]):
    hold("open")
"""
COLLIDING = """
exc = refused(errors.SamePidError, zlmdb.Database, sys.argv[1])
assert exc.pid == os.getpid() == 1 and isinstance(exc, (errors.LockHeld, RuntimeError))
assert "namespace" in exc.next_step
"""
OPENING_BESIDE = """
assert os.getpid() == 1
if pid := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
zlmdb.Database(sys.argv[1]).close()
"""


def test_containers_that_give_both_processes_one_id_are_told_apart_from_a_busy_lock(
    tmp_path: Path, lib_version: str
) -> None:
    prefix = namespace("pid")
    with Held(OPENING, tmp_path / "db", lib_version, prefix=prefix) as holder:
        assert holder.said() == "open"
        run(COLLIDING, tmp_path / "db", prefix=prefix)
        run(OPENING_BESIDE, tmp_path / "db", prefix=prefix)  # the second process of its namespace is number 2
        holder.finish()
    run(OPENING_BESIDE, tmp_path / "db", prefix=prefix)


def test_the_mark_of_a_living_process_is_found_and_only_that(tmp_path: Path, lib_version: str) -> None:
    assert not opening.same_pid_elsewhere(str(tmp_path))
    code = "with zlmdb.Database(sys.argv[1], lib_version=sys.argv[2]):\n    hold(os.getpid())"
    with Held(code, tmp_path / "db", lib_version) as other:
        pid = int(other.said())
        assert opening.same_pid_elsewhere(str(tmp_path / "db"), pid)
        assert not opening.same_pid_elsewhere(str(tmp_path / "db"))
        other.finish()
    assert not opening.same_pid_elsewhere(str(tmp_path / "db"), pid)


# --- network drives

MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:40 / /srv/share rw shared:5 master:2 - nfs4 server:/export rw,vers=4.2
31 27 0:41 / /srv/share/local rw - xfs /dev/vdb rw
32 27 0:42 / /mnt/with\040space rw - cifs //server/share rw
33 27 0:43 / /var/lib/data rw - nfs server:/data rw
34 27 0:44 / /var/lib/data rw - btrfs /dev/vdc rw
35 27 0:45 / /run/app rw - overlay overlay rw,lowerdir=/l,upperdir=/u
36 27 0:46 / /mnt/host rw - 9p host rw
a line of another kind
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/home/me/db", ("/", "ext4")),
        ("/srv/share/db", ("/srv/share", "nfs4")),
        ("/srv/shared/db", ("/", "ext4")),
        ("/srv/share/local/db", ("/srv/share/local", "xfs")),
        ("/mnt/with space/db", ("/mnt/with space", "cifs")),
        ("/var/lib/data/db", ("/var/lib/data", "btrfs")),  # the later mount hides the earlier one
        ("/run/app/db", ("/run/app", "overlay")),
        ("/mnt/host", ("/mnt/host", "9p")),
    ],
)
def test_the_file_system_of_a_path_is_read_from_the_mounts(tmp_path: Path, path: str, found: tuple[str, str]) -> None:
    assert filesystems.mount_of(path + "/data.mdb", MOUNTINFO) == found
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    is_network = found[1] in {"nfs4", "cifs", "9p"}
    assert filesystems.network_mount(path, tmp_path / "mountinfo") == (found if is_network else None)


def test_where_mounts_cannot_be_read_nothing_is_said(tmp_path: Path) -> None:
    assert filesystems.network_mount(tmp_path, tmp_path / "none") is None


def test_a_network_file_system_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    with zlmdb.Database(tmp_path / "local"):
        assert not caplog.records
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"27 1 254:0 / / rw - ext4 /dev/vda rw\n30 27 0:40 / {tmp_path.resolve()} rw - nfs4 server:/x rw\n"
    )
    monkeypatch.setattr(opening, "network_mount", lambda path: filesystems.network_mount(path, mounts))
    for name in ("one", "two", "one"):
        with zlmdb.Database(tmp_path / name):
            pass
    assert len(caplog.records) == 1
    assert "nfs4" in caplog.text
    assert str(tmp_path / "one") in caplog.text
