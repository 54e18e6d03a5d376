# SPDX-License-Identifier: MIT
"""The recorder itself, on plain files and plain LMDB: it must see a missing fsync, and see none where there is none."""

import json
import os
import random
import select
import signal
from pathlib import Path

import pytest

from tests.crash.processes import Child, acked, run_python
from tests.crash.recording import Recording, RecordingError, read_log, record, require_strace

pytestmark = pytest.mark.crash

BOTH_FORMATS = pytest.mark.parametrize("lib_version", [0, 1], ids=["0.9", "1.0"])

# arguments: format, sync, when to acknowledge, number of commits, first key
WRITER = """
import os, sys, lmdb
version, sync, order, count, first = int(sys.argv[1]), sys.argv[2] == "sync", sys.argv[3], int(sys.argv[4]), sys.argv[5]
acks = os.open("acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
env = lmdb.open(".", map_size=1 << 24, sync=sync, lib_version=version)
for number in range(int(first), int(first) + count):
    key = f"{number:04}"
    if order == "early":
        os.write(acks, b"ACK %s\\n" % key.encode())
    with env.begin(write=True) as txn:
        txn.put(key.encode(), key.encode() * (2000 if number % 5 == 0 else 20))
        if number >= 3:
            txn.put(f"{number - 3:04}".encode(), f"{number - 3:04}".encode() * 30)  # frees pages, to be used again
    if order == "late":
        os.write(acks, b"ACK %s\\n" % key.encode())
env.close()
"""

THREADED = """
import os, queue, sys, threading, lmdb
acks = os.open("acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
env = lmdb.open(".", map_size=1 << 24, lib_version=int(sys.argv[1]))
done = queue.SimpleQueue()

def commit():
    for number in range(30):
        key = f"{number:04}".encode()
        with env.begin(write=True) as txn:
            txn.put(key, key * 20)
        done.put(key)

thread = threading.Thread(target=commit)
thread.start()
for _ in range(30):
    os.write(acks, b"ACK %s\\n" % done.get())
thread.join()
env.close()
"""

# reads cases from stdin; a process of its own, since a damaged file can end its reader with SIGBUS
READER = """
import json, sys, lmdb
for directory, version, expected in json.load(sys.stdin):
    try:
        with lmdb.open(directory, readonly=True, lock=False, lib_version=version) as env, env.begin() as txn:
            rows = {bytes(k).decode(): bytes(v).decode() for k, v in txn.cursor()}
    except lmdb.Error as error:
        print(json.dumps([str(error)]), flush=True)
        continue
    broken = [key for key, value in rows.items() if set(map("".join, zip(*[iter(value)] * 4))) != {key}]
    print(json.dumps(broken + [key for key in expected if key not in rows]), flush=True)
"""


def losses(recording: Recording, positions: list[int], where: Path, lib_version: int, seed: int | None) -> list[str]:
    """Return what is missing or broken after a power cut at any of the positions; a seed keeps random pages."""
    rng = None if seed is None else random.Random(seed)
    cases = [
        (str(recording.replay_at(at, where / f"{seed}-{index}", rng)), lib_version, recording.acked_at(at))
        for index, at in enumerate(positions)
    ]
    lines = run_python(["-c", READER], stdin=json.dumps(cases)).splitlines()
    assert len(lines) == len(cases)
    return [loss for line in lines for loss in json.loads(line)]


def write_with_lmdb(
    workdir: Path, lib_version: int, sync: str, order: str, count: int = 30, first: int = 0
) -> Recording:
    return record(["-c", WRITER, str(lib_version), sync, order, str(count), str(first)], workdir)


@BOTH_FORMATS
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_synced_commit_survives_a_power_cut_at_its_acknowledgement(
    tmp_path: Path, lib_version: int, seed: int | None
) -> None:
    recording = write_with_lmdb(tmp_path, lib_version, "sync", "late")
    assert [ack.id for ack in recording.acks] == [f"{number:04}" for number in range(30)]
    assert losses(recording, [ack.position for ack in recording.acks], tmp_path / "cut", lib_version, seed) == []


@BOTH_FORMATS
@pytest.mark.parametrize("seed", [None, 3])
def test_a_synced_commit_survives_a_power_cut_at_any_later_moment(
    tmp_path: Path, lib_version: int, seed: int | None
) -> None:
    recording = write_with_lmdb(tmp_path, lib_version, "sync", "late")
    cuts = [at for at in recording.cuts(random.Random(7), 60) if at >= recording.acks[0].position]
    assert any(recording.unsynced_at(at) for at in cuts)
    assert losses(recording, cuts, tmp_path / "cut", lib_version, seed) == []


@BOTH_FORMATS
def test_commits_without_sync_are_seen_to_be_lost(tmp_path: Path, lib_version: int) -> None:
    recording = write_with_lmdb(tmp_path, lib_version, "nosync", "late")
    assert len(recording.acks) == 30
    assert recording.file_at(recording.end) == b""
    for ack in recording.acks:
        assert losses(recording, [ack.position], tmp_path / ack.id, lib_version, None), ack


@BOTH_FORMATS
def test_an_acknowledgement_before_the_commit_is_seen_to_be_a_lie(tmp_path: Path, lib_version: int) -> None:
    recording = write_with_lmdb(tmp_path, lib_version, "sync", "early", 10)
    for ack in recording.acks[1:]:
        assert losses(recording, [ack.position], tmp_path / ack.id, lib_version, None) == [ack.id]
    assert losses(recording, [recording.end], tmp_path / "end", lib_version, None) == []


@BOTH_FORMATS
@pytest.mark.parametrize("seed", [None, 4])
def test_commits_of_a_thread_acknowledged_by_another_survive(
    tmp_path: Path, lib_version: int, seed: int | None
) -> None:
    recording = record(["-c", THREADED, str(lib_version)], tmp_path)
    assert len(recording.acks) == 30
    cuts = [ack.position for ack in recording.acks]
    assert losses(recording, cuts, tmp_path / "cut", lib_version, seed) == []


def test_what_the_file_held_before_the_recording_is_on_disk(tmp_path: Path) -> None:
    before = write_with_lmdb(tmp_path, 1, "sync", "late", 5)
    recording = write_with_lmdb(tmp_path, 1, "nosync", "late", 5, first=5)
    assert recording.initial == before.file_at(before.end)
    assert recording.file_at(recording.end) == recording.initial
    whole = recording.file_at(recording.end, keep=lambda _change: True)
    assert whole == (tmp_path / "data.mdb").read_bytes() != recording.initial


PLAIN = """
import os
f = os.open("data.mdb", os.O_RDWR | os.O_CREAT)
a = os.open("acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
ack = lambda: os.write(a, b"ACK x\\n")
"""


def plain(workdir: Path, code: str) -> list[bytes]:
    """Return what is surely in the file at each acknowledgement of a child writing to descriptor `f`."""
    recording = record(["-c", PLAIN + code], workdir)
    return [recording.file_at(ack.position) for ack in recording.acks]


@pytest.mark.parametrize("sync", ["os.fsync(f)", "os.fdatasync(f)", "os.fsync(os.dup(f))"])
def test_a_write_is_on_disk_after_a_sync_of_its_file(tmp_path: Path, sync: str) -> None:
    assert plain(tmp_path, f"os.pwrite(f, b'one', 2); ack(); {sync}; ack()") == [b"", b"\0\0one"]


def test_a_sync_of_another_file_changes_nothing(tmp_path: Path) -> None:
    code = "os.write(f, b'one'); g = os.open('other', os.O_RDWR | os.O_CREAT); os.write(g, b'x'); os.fsync(g); ack()"
    assert plain(tmp_path, code) == [b""]


@pytest.mark.parametrize("flag", ["O_DSYNC", "O_SYNC"])
def test_a_synchronous_descriptor_makes_its_own_page_durable_and_no_other(tmp_path: Path, flag: str) -> None:
    code = (
        f"d = os.dup(os.open('data.mdb', os.O_WRONLY | os.{flag}))\n"
        "os.pwrite(f, b'same page', 0); os.pwrite(f, b'next page', 4096); os.pwrite(d, b'META', 100); ack()"
    )
    assert plain(tmp_path, code) == [b"same page".ljust(100, b"\0") + b"META"]


def test_writes_with_a_sync_flag_of_their_own_are_durable(tmp_path: Path) -> None:
    code = "os.pwritev(f, [b'ab', b'cd'], 1, os.RWF_DSYNC); os.pwritev(f, [b'x'], 4096); ack()"
    assert plain(tmp_path, code) == [b"\0abcd"]


def test_offsets_follow_seeks_writes_and_other_processes(tmp_path: Path) -> None:
    code = (
        "os.lseek(f, 3, os.SEEK_SET); os.writev(f, [b'ab', b'c'])\n"
        "child = os.fork()\n"
        "if child == 0: os.write(f, b'child'); os._exit(0)\n"
        "os.waitpid(child, 0); os.write(f, b'parent'); os.fsync(f); ack()\n"
        "e = os.open('data.mdb', os.O_WRONLY | os.O_APPEND); os.write(e, b'end'); os.fsync(e); ack()"
    )
    assert plain(tmp_path, code) == [b"\0\0\0abcchildparent", b"\0\0\0abcchildparentend"]


def test_lengths_are_lost_like_writes(tmp_path: Path) -> None:
    code = (
        "os.pwrite(f, b'abcdef', 0); os.fsync(f); os.ftruncate(f, 2); ack(); os.fsync(f); ack()\n"
        "os.posix_fallocate(f, 0, 5); ack(); os.fsync(f); ack(); os.open('data.mdb', os.O_RDWR | os.O_TRUNC); ack()"
    )
    assert plain(tmp_path, code) == [b"abcdef", b"ab", b"ab", b"ab\0\0\0", b"ab\0\0\0"]


def test_a_chosen_change_is_kept_and_with_it_what_its_page_held(tmp_path: Path) -> None:
    code = "os.pwrite(f, b'old', 0); os.pwrite(f, b'new', 10); os.pwrite(f, b'far', 4096); ack()"
    recording = record(["-c", PLAIN + code], tmp_path)
    kept = recording.file_at(recording.end, keep=lambda change: change.data == b"new")
    assert kept == b"old".ljust(10, b"\0") + b"new"
    assert recording.file_at(recording.end, random.Random(1)) == recording.file_at(recording.end, random.Random(1))


LOG = """\
1 openat(AT_FDCWD</w>, "\\x64", O_RDWR) = 3</w/data.mdb>
1 clone3({flags=CLONE_VM|CLONE_FILES <unfinished ...>
2 pwrite64(3</w/data.mdb>, "\\x61\\x62", 2, 0 <unfinished ...>
1 <... clone3 resumed> => {parent_tid=[0]}, 88) = 2
1 fdatasync(3</w/data.mdb> <unfinished ...>
2 <... pwrite64 resumed>) = 2
1 <... fdatasync resumed>) = 0
1 write(4</w/acks>, "\\x41\\x43\\x4b\\x20\\x31\\x0a", 6) = 6
1 fdatasync(3</w/data.mdb> <unfinished ...>
2 write(4</w/acks>, "\\x41\\x43\\x4b\\x20\\x32\\x0a", 6) = 6
1 <... fdatasync resumed>) = 0
2 write(4</w/acks>, "\\x41\\x43\\x4b\\x20\\x33\\x0a", 6 <unfinished ...>
1 pwrite64(3</w/data.mdb>, "\\x63", 1, 0 <unfinished ...>
1 +++ killed by SIGKILL +++
2 <... write resumed> <unfinished ...>) = ?
"""


def test_only_a_sync_begun_after_the_write_and_ended_before_the_acknowledgement_counts() -> None:
    recording = read_log(LOG.splitlines(), Path("/w/data.mdb"), Path("/w/acks"))
    at = {ack.id: recording.file_at(ack.position) for ack in recording.acks}
    assert at == {"1": b"", "2": b"", "3": b"ab"}
    assert recording.file_at(recording.end) == b"ab"
    assert recording.file_at(recording.end, keep=lambda _change: True) == b"cb"


def test_a_child_that_is_killed_is_recorded_up_to_its_end(tmp_path: Path) -> None:
    code = "os.write(f, b'one'); os.fsync(f); os.write(f, b'two'); ack(); os.kill(os.getpid(), 9)"
    recording = record(["-c", PLAIN + code], tmp_path, check=False)
    assert recording.returncode == -signal.SIGKILL
    assert recording.acked_at(recording.end) == ["x"]
    assert recording.file_at(recording.end) == b"one"


def test_a_short_write_counts_for_what_it_wrote() -> None:
    log = LOG.replace("<... pwrite64 resumed>) = 2", "<... pwrite64 resumed>) = 1")
    recording = read_log(log.splitlines(), Path("/w/data.mdb"), Path("/w/acks"))
    assert recording.file_at(recording.acks[-1].position) == b"a"


def test_a_failed_sync_makes_nothing_durable() -> None:
    log = LOG.replace("<... fdatasync resumed>) = 0", "<... fdatasync resumed>) = -1 EIO (Input/output error)")
    recording = read_log(log.splitlines(), Path("/w/data.mdb"), Path("/w/acks"))
    assert recording.file_at(recording.end) == b""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import mmap; os.ftruncate(f, 4096); mmap.mmap(f, 4096)", "mapped writable"),
        ("os.write(f, b'one'); os.truncate('data.mdb', 1)", "not what the recorded writes make of it"),
        ("os.unlink('data.mdb')", "left no"),
        ("raise SystemExit('no luck')", "no luck"),
        ("os.write(a, b'ACK torn')", "without its newline"),
    ],
)
def test_a_child_that_cannot_be_replayed_is_refused(tmp_path: Path, code: str, reason: str) -> None:
    with pytest.raises(RecordingError, match=reason):
        record(["-c", PLAIN + code], tmp_path)


def test_a_child_that_does_not_end_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(RecordingError, match="still runs"):
            record(["-c", "import signal; f = open('alive', 'w'); signal.pause()"], tmp_path, timeout=2)
        # the child's end of the pipe is closed when it is gone, which is a moment after its tracer is
        hung_up = select.poll()
        hung_up.register(alive, select.POLLHUP)
        assert hung_up.poll(30_000)
    finally:
        os.close(alive)


def test_without_strace_a_local_run_skips_and_ci_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        require_strace()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not installed"):
        require_strace()


def test_where_tracing_is_forbidden_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strace").write_text("#!/bin/sh\necho 'ptrace: Operation not permitted' >&2\nexit 1\n")
    (tmp_path / "strace").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="cannot trace: ptrace: Operation not permitted"):
        require_strace()


ENDLESS = """
import itertools, os, sys
acks = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for number in itertools.count():
    os.write(acks, b"ACK %d\\n" % number)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_is_killed_after_the_acknowledgements_asked_for(tmp_path: Path, number: signal.Signals) -> None:
    acks = tmp_path / "acks"
    with Child(["-c", ENDLESS, acks], acks) as child:
        assert child.wait_for_acks(20)[:20] == [str(n) for n in range(20)]
        assert child.kill(number) == -number
    assert len(acked(acks)) >= 20


def test_a_child_that_acknowledges_nothing_is_not_waited_for_forever(tmp_path: Path) -> None:
    with Child(["-c", "import signal; signal.pause()"], tmp_path / "acks") as child:
        with pytest.raises(AssertionError, match="0 of 1 acks"):
            child.wait_for_acks(1, within=0.2)
        with pytest.raises(AssertionError, match="still runs"):
            child.wait(within=0.05)


def test_a_reader_that_fails_shows_what_it_printed() -> None:
    with pytest.raises(AssertionError, match="no luck"):
        run_python(["-c", "raise SystemExit('no luck')"])


def test_a_child_left_running_is_ended_with_its_block(tmp_path: Path) -> None:
    with Child(["-c", ENDLESS, tmp_path / "acks"], tmp_path / "acks") as child:
        child.wait_for_acks(1)
    assert child.wait() == -signal.SIGKILL


def test_a_child_that_fails_shows_what_it_printed(tmp_path: Path) -> None:
    with Child(["-c", "raise SystemExit('no luck')"], tmp_path / "acks") as child:
        with pytest.raises(AssertionError, match="no luck"):
            child.wait_for_acks(1)
        assert child.wait() == 1


def test_a_torn_last_line_acknowledges_nothing(tmp_path: Path) -> None:
    assert acked(tmp_path / "acks") == []
    (tmp_path / "acks").write_bytes(b"ACK 1\nACK 2\nACK 3")
    assert acked(tmp_path / "acks") == ["1", "2"]
    (tmp_path / "acks").write_bytes(b"ACK 1")
    assert acked(tmp_path / "acks") == []
