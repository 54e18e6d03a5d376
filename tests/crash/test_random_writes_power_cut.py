# SPDX-License-Identifier: MIT
"""A power cut at any moment of random writes: what was acknowledged is there, whole, and indexes are exact."""

import json
import random
from pathlib import Path

import pytest

import zlmdb
from tests.crash import random_writes
from tests.crash.processes import run_python
from tests.crash.random_writes import Store
from tests.crash.recording import Keep, Recording, keeping, record

pytestmark = [pytest.mark.crash, pytest.mark.slow]

COUNT = 60
CUTS = 70
READER = """
import json, sys
from pathlib import Path
from tests.crash.random_writes import Model, faults
for folder, acked in json.loads(sys.stdin.read()):
    print(json.dumps(faults(Path(folder), acked, Model())), flush=True)
"""


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("recorded")
    with zlmdb.Database(folder / "db", lib_version=request.param) as db:
        db.attach(Store)
    made = record([random_writes.__file__, folder / "db", folder / "acks", str(COUNT)], folder, data="db/data.mdb")
    assert [ack.id for ack in made.acks] == [str(number) for number in range(1, COUNT + 1)]
    return made


def wrong(recording: Recording, where: Path, cuts: list[int], keep: Keep | random.Random | None) -> list[list[str]]:
    """Return what is wrong in the file after a power cut at each of these positions."""
    cases = []
    for number, cut in enumerate(cuts):
        folder = recording.replay_at(cut, where / str(number), keep)
        cases.append((str(folder), len(recording.acked_at(cut))))
    lines = run_python(["-c", READER], stdin=json.dumps(cases)).splitlines()
    assert len(lines) == len(cuts)
    return [json.loads(line) for line in lines]


def test_nothing_acknowledged_is_lost_when_all_that_was_not_synced_is(recording: Recording, tmp_path: Path) -> None:
    cuts = sorted({*recording.cuts(random.Random(1), CUTS), *(ack.position for ack in recording.acks)})
    assert wrong(recording, tmp_path, cuts, None) == [[]] * len(cuts)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_whatever_part_of_it_reached_the_disk_does_no_harm(recording: Recording, tmp_path: Path, kept: float) -> None:
    rng = random.Random(kept)
    cuts = recording.cuts(rng, CUTS)
    assert any(recording.unsynced_at(cut) for cut in cuts)
    assert wrong(recording, tmp_path, cuts, keeping(rng, kept)) == [[]] * len(cuts)
