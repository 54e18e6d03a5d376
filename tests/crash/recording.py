# SPDX-License-Identifier: MIT
"""What is on disk when the power goes: record a child's writes, syncs and acknowledgements, and rebuild its file.

A killed process cannot show a missing fsync, since the page cache outlives it. So `record` runs the child under
strace and notes, in one order over all threads and processes, what was written to the data file, when it was synced,
and when the child acknowledged. `Recording.file_at` then builds the file as a power cut at any position may leave it.

The rules, all on the side of losing more:

- A write may be on disk from the moment it starts. It must be from the end of the first fsync or fdatasync of the
  file that *starts* after the write has *finished*, or from its own end if it went through a descriptor opened
  with O_DSYNC or O_SYNC, or had RWF_DSYNC or RWF_SYNC. sync_file_range and msync promise nothing here.
- Pages are lost or kept whole: whoever keeps a write keeps what was written to that page before it.
- What the file held before the recording is on disk. That its directory entry is, is taken for granted.

Reads are not recorded, so the offset of `write` and `writev` is known from lseek and earlier writes only. What was
not understood shows at the end: all writes together must give the file that is really there.
"""

import dataclasses
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired

import pytest

from tests.crash.processes import ack_id, child_environment

PAGE = 4096
_LONGEST = 1 << 26  # bytes of one write; strace shortens what is longer, which is found and refused
_OPEN = frozenset({"open", "openat", "creat"})
_DUPLICATE = frozenset({"dup", "dup2", "dup3", "fcntl"})
_CLONE = frozenset({"clone", "clone3", "fork", "vfork"})
_WRITE = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2"})
_RESIZE = frozenset({"ftruncate", "fallocate"})
_SYNC = frozenset({"fsync", "fdatasync"})
_TRACED = sorted(_OPEN | _DUPLICATE | _CLONE | _WRITE | _RESIZE | _SYNC | {"lseek", "mmap"})

_RETURNED = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)(?:<([^>]*)>)?", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(-?\d+)<([^>]*)>")


class RecordingError(AssertionError):
    """The child failed, or did something that the recording cannot replay."""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call; `finish` and `result` are None if it never returned."""

    thread: int
    name: str
    arguments: str
    start: int
    finish: int | None
    result: int | None
    opened: str  # path of the descriptor it returned

    @property
    def descriptor(self) -> tuple[int, str]:
        """The first descriptor among the arguments, with its path."""
        found = _DESCRIPTOR.search(self.arguments)
        return (int(found[1]), _text(found[2])) if found else (-1, "")

    @property
    def data(self) -> bytes:
        if '"...' in self.arguments:
            raise RecordingError(f"{self.name} of more than {_LONGEST} bytes")
        return b"".join(map(_unhex, _STRING.findall(self.arguments)))

    def last(self, count: int) -> list[str]:
        return self.arguments.rsplit(", ", count)[-count:]


@dataclass(frozen=True, slots=True)
class Change:
    """The part of a write that lies in one page, or, where `data` is None, the cutting of the file to `offset`."""

    start: int
    finish: int | None
    offset: int
    data: bytes | None
    durable: int | None = None  # the position from which it is on disk for certain

    @property
    def page(self) -> int | None:
        return None if self.data is None else self.offset // PAGE

    def durable_at(self, position: int) -> bool:
        return self.durable is not None and self.durable <= position

    def apply(self, content: bytearray) -> None:
        content.extend(bytes(max(0, self.offset - len(content))))
        if self.data is None:
            del content[self.offset :]
        else:
            content[self.offset : self.offset + len(self.data)] = self.data


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement, and its position: the start of the write that made it visible."""

    id: str
    position: int


Keep = Callable[[Change], bool]


def keeping(rng: random.Random, probability: float) -> Keep:
    """Return a choice that keeps each page write with this probability."""
    return lambda _change: rng.random() < probability


@dataclass(frozen=True)
class Recording:
    """What the child did, as a sequence of positions from 0 to `end`: starts and ends of its system calls."""

    initial: bytes
    changes: tuple[Change, ...]
    acks: tuple[Ack, ...]
    end: int
    returncode: int = 0
    output: str = ""

    def acked_at(self, position: int) -> list[str]:
        """Return the ids that were acknowledged up to this position."""
        return [ack.id for ack in self.acks if ack.position <= position]

    def unsynced_at(self, position: int) -> list[Change]:
        """Return the changes that a power cut at this position may lose."""
        return [change for change in self.changes if change.start <= position and not change.durable_at(position)]

    def cuts(self, rng: random.Random, count: int) -> list[int]:
        """Return `count` random positions, none before the first change of the file."""
        first = self.changes[0].start if self.changes else self.end
        return sorted(rng.randint(first, self.end) for _ in range(count))

    def file_at(self, position: int, keep: Keep | random.Random | None = None) -> bytes:
        """Return the data file as a power cut at this position leaves it.

        `keep` chooses among the unsynced changes those that reached the disk nevertheless: None drops all, a
        `Random` tosses a coin for each, a callable is asked, for the latest change of a page first.
        """
        chosen = keeping(keep, 0.5) if isinstance(keep, random.Random) else keep
        kept: list[Change] = []
        pages: set[int | None] = set()
        for change in reversed(self.changes):
            if change.start > position:
                continue
            # a page reaches the disk whole, with all that was written to it before
            if change.page in pages or change.durable_at(position) or (chosen is not None and chosen(change)):
                kept.append(change)
                pages.add(change.page)
        content = bytearray(self.initial)
        for change in reversed(kept):
            change.apply(content)
        return bytes(content)

    def replay_at(self, position: int, directory: Path, keep: Keep | random.Random | None = None) -> Path:
        """Write `file_at` as `data.mdb` in a directory that is new or empty; return the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "data.mdb").write_bytes(self.file_at(position, keep))
        return directory


def require_strace() -> None:
    """Skip the test where no process can be traced; fail it where the environment variable CI is set."""
    if shutil.which("strace") is None:
        problem = "strace is not installed"
    else:
        command = ["strace", "-f", "-o", os.devnull, sys.executable, "-S", "-c", ""]
        probe = subprocess.run(command, capture_output=True, text=True)
        problem = f"strace cannot trace: {probe.stderr.strip()}" if probe.returncode else ""
    if problem:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(problem)


def record(
    argv: Sequence[str | Path],
    workdir: Path,
    *,
    data: str = "data.mdb",
    acks: str = "acks",
    env: dict[str, str] | None = None,
    timeout: float = 60.0,
    check: bool = True,
) -> Recording:
    """Run Python with `argv` (a script and its arguments, or `-c` and code) in `workdir` and record what it does.

    `data` and `acks` are paths in `workdir`; a write of lines `ACK <id>` to `acks` acknowledges them.
    The log stays there as `strace.log`. Skips or fails the test as `require_strace` does.
    Raises RecordingError if the child fails (unless `check` is false), takes longer than `timeout` seconds, or
    changes the data file in a way that cannot be replayed, such as through a writable map.
    """
    require_strace()
    workdir = workdir.resolve()
    file, log = (workdir / data).resolve(), workdir / "strace.log"
    initial = file.read_bytes() if file.exists() else b""
    options = ["--seccomp-bpf", "-f", "-qq", "-y", "-xx", "-s", str(_LONGEST), "-e", "signal=none"]
    traced = "trace=" + ",".join(f"?{name}" for name in _TRACED)  # "?": where there is such a call
    command = ["strace", *options, "-e", traced, "-o", str(log), sys.executable, *map(str, argv)]
    returncode, output = _run(command, workdir, env or child_environment(), timeout)
    if check and returncode:
        raise RecordingError(f"the child ended with {returncode}:\n{output}")
    with log.open() as lines:
        recording = read_log(lines, file, (workdir / acks).resolve(), initial)
    _compare(recording, file)
    return dataclasses.replace(recording, returncode=returncode, output=output)


def read_log(lines: Iterable[str], data: Path, acks: Path, initial: bytes = b"") -> Recording:
    """Return the recording that is in the output of `strace -f -y -xx`; `data` and `acks` are absolute paths."""
    calls, end = _parse(lines)
    follower = _Follower(data, acks, len(initial))
    # a descriptor exists from the end of the call that made it; everything else counts from its start
    for call in sorted(calls, key=lambda c: (c.finish or c.start) if c.name in _OPEN | _DUPLICATE else c.start):
        follower.follow(call)
    return Recording(initial, follower.dated_changes(), tuple(follower.acks), end)


def _run(command: list[str], cwd: Path, env: dict[str, str], timeout: float) -> tuple[int, str]:
    # in a session of its own, since strace ended alone would leave the child running
    with Popen(command, cwd=cwd, env=env, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except TimeoutExpired as error:
            raise RecordingError(f"the child still runs after {timeout} s: {command[-3:]}") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output.decode(errors="replace")


def _compare(recording: Recording, data: Path) -> None:
    if any(change.finish is None for change in recording.changes):
        return  # nobody knows how much of an interrupted write was done
    if not data.exists():
        raise RecordingError(f"the child left no {data}")
    if recording.file_at(recording.end, keep=lambda _change: True) != data.read_bytes():
        raise RecordingError(f"{data} is not what the recorded writes make of it; it was changed in an unknown way")


def _parse(lines: Iterable[str]) -> tuple[list[Call], int]:
    calls: list[Call] = []
    pending: dict[int, tuple[int, str]] = {}
    position = 0
    for line in lines:
        number, text = line.rstrip().split(maxsplit=1)
        if text.startswith(("+++", "---")):
            continue
        thread, position = int(number), position + 1
        if text.endswith(" <unfinished ...>"):
            pending[thread] = position, text.removesuffix(" <unfinished ...>")
        elif text.startswith("<... "):
            start, head = pending.pop(thread)
            tail = text.partition(" resumed>")[2].removeprefix(" <unfinished ...>")
            calls.append(_call(thread, head + tail, start, position))
        else:
            position += 1
            calls.append(_call(thread, text, position - 1, position))
    calls.extend(_call(thread, head + ") = ?", start, None) for thread, (start, head) in pending.items())
    return calls, position


def _call(thread: int, text: str, start: int, finish: int | None) -> Call:
    if (parts := _RETURNED.match(text)) is None:
        raise RecordingError(f"cannot read this line of strace: {text[:200]}")
    name, arguments, result, opened = parts.groups()
    code = None if result == "?" else int(result, 0)
    return Call(thread, name, arguments, start, None if code is None else finish, code, _text(opened or ""))


def _unhex(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(escaped: str) -> str:
    return os.fsdecode(_unhex(escaped)) if escaped.startswith("\\x") else escaped


@dataclass(slots=True)
class _Description:
    """An open file description of the data file; descriptors share it after dup and fork."""

    synced: bool
    appending: bool
    offset: int = 0


class _Follower:
    """Keeps the descriptor table of each process and collects what is done to the two files."""

    def __init__(self, data: Path, acks: Path, length: int) -> None:
        self.acks: list[Ack] = []
        self._data = str(data)
        self._ack_path = str(acks)
        self._changes: list[Change] = []
        self._syncs: list[tuple[int, int]] = []
        self._tables: defaultdict[int, dict[int, _Description]] = defaultdict(dict)
        self._length = length

    def dated_changes(self) -> tuple[Change, ...]:
        """Return all changes, each with the position from which it is on disk."""
        return tuple(dataclasses.replace(c, durable=c.durable or self._synced_after(c)) for c in self._changes)

    def follow(self, call: Call) -> None:
        if call.result is not None and call.result < 0:
            return  # it failed, so nothing happened
        if call.name in _OPEN:
            self._open(call)
        elif call.name in _CLONE:
            self._clone(call)
        elif call.descriptor[1] == self._ack_path and call.name in _WRITE:
            self._acknowledge(call)
        elif call.descriptor[1] == self._data:
            self._touch(call)

    def _touch(self, call: Call) -> None:
        if call.name in _DUPLICATE and call.opened:
            self._tables[call.thread][call.result or 0] = self._description(call)
        elif call.name == "lseek":
            self._description(call).offset = call.result or 0
        elif call.name in _WRITE:
            self._write(call)
        elif call.name in _RESIZE:
            self._resize(call)
        elif call.name in _SYNC and call.finish is not None:
            self._syncs.append((call.start, call.finish))
        elif call.name == "mmap" and "PROT_WRITE" in call.arguments and "MAP_SHARED" in call.arguments:
            raise RecordingError("the data file is mapped writable (writemap?): such writes cannot be recorded")

    def _open(self, call: Call) -> None:
        if call.opened != self._data or call.result is None:
            return
        synced = re.search(r"\bO_D?SYNC\b", call.arguments) is not None
        self._tables[call.thread][call.result] = _Description(synced, "O_APPEND" in call.arguments)
        if "O_TRUNC" in call.arguments or call.name == "creat":
            self._add(call, 0, None)

    def _clone(self, call: Call) -> None:
        if call.result:
            table = self._tables[call.thread]
            self._tables[call.result] = table if "CLONE_FILES" in call.arguments else dict(table)

    def _acknowledge(self, call: Call) -> None:
        *lines, torn = call.data.split(b"\n")
        if torn:
            raise RecordingError(f"an acknowledgement without its newline: {torn!r}")
        self.acks.extend(Ack(ack_id(line), call.start) for line in lines)

    def _write(self, call: Call) -> None:
        data = call.data[: call.result]
        description = self._description(call)
        synced = description.synced or re.search(r"\bRWF_D?SYNC\b", call.arguments[-40:]) is not None
        if call.name.startswith("p"):
            offset = int(call.last(2 if call.name == "pwritev2" else 1)[0])
        else:
            offset = self._length if description.appending else description.offset
            description.offset = offset + len(data)
        begin = offset
        while begin < offset + len(data):
            end = min(begin - begin % PAGE + PAGE, offset + len(data))
            self._add(call, begin, data[begin - offset : end - offset], synced=synced)
            begin = end

    def _resize(self, call: Call) -> None:
        if call.name == "ftruncate":
            return self._add(call, int(call.last(1)[0]), None)
        mode, offset, length = call.last(3)
        if mode != "0":
            raise RecordingError(f"fallocate with {mode} cannot be replayed")
        return self._add(call, int(offset) + int(length), b"")

    def _add(self, call: Call, offset: int, data: bytes | None, *, synced: bool = False) -> None:
        durable = call.finish if synced else None
        self._changes.append(Change(call.start, call.finish, offset, data, durable))
        self._length = offset if data is None else max(self._length, offset + len(data))

    def _description(self, call: Call) -> _Description:
        number, path = call.descriptor
        if number not in self._tables[call.thread]:
            raise RecordingError(f"{call.name} through descriptor {number} of {path}, whose opening was not seen")
        return self._tables[call.thread][number]

    def _synced_after(self, change: Change) -> int | None:
        finished = change.finish or sys.maxsize
        return min((finish for start, finish in self._syncs if start > finished), default=None)
