# SPDX-License-Identifier: MIT
"""On a disk that is really full nothing that was acknowledged is lost, over either loop."""

from pathlib import Path

import pytest

from tests.children import namespace, run
from tests.faces import FACES

PROGRAM = """
from functools import partial
from tests.faces import FACES
disk, face, lib_version = sys.argv[1:]
assert os.system(f"mount -t tmpfs -o size=4m none {disk}") == 0
filler = Path(disk + "/filler")

async def error_of(call):
    try:
        await call
    except errors.DiskFull as error:
        return error

async def test(db, users):
    await users.put("kept", b"x" * 1000)
    filler.write_bytes(b"x" * (1 << 20))
    with filler.open("ab", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass  # it is full now
    acknowledged = [f"{number:03}" for number in range(200)]
    for name in acknowledged:
        await users.put(name, name.encode() * 1000, durability="queued")
    refused = await error_of(users.put("refused", b"x" * 100_000))
    assert isinstance(refused, errors.DiskFull), refused
    stats = db.stats()
    assert stats.lost == 0 and stats.held > 0, stats
    assert await users.get("kept") == b"x" * 1000
    filler.unlink()
    await db.flushed()
    assert db.stats().held == 0
    await users.put("after", b"y")
    found = await users.select()
    assert [key for key, _ in found] == [*acknowledged, "after", "kept"], [key for key, _ in found]
    assert all(value == key.encode() * 1000 for key, value in found[:200])

FACES[face].using(Path(disk + "/db"), test, lib_version=lib_version)
"""


@pytest.mark.parametrize("face", FACES)
def test_what_was_acknowledged_is_written_when_there_is_room_again(tmp_path: Path, face: str, lib_version: str) -> None:
    run(PROGRAM, tmp_path, face, lib_version, prefix=namespace("mount"))
