# SPDX-License-Identifier: MIT
"""What either face has answered was synced before: writes that were not, dropped at any point, take none of it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.crash import face_traffic
from tests.crash.processes import run_python
from tests.crash.recording import Keep, Recording, keeping, record
from tests.faces import FACES

pytestmark = [pytest.mark.crash, pytest.mark.slow]

COUNT = 300
READER = """
import json, sys
from pathlib import Path
from tests.crash.face_traffic import missing
for folder, acked in json.loads(sys.stdin.read()):
    print(json.dumps(missing(Path(folder), acked)))
"""


def recorded(folder: Path, face: str, durability: str) -> Recording:
    folder.mkdir(exist_ok=True)
    arguments = [face_traffic.__file__, folder, folder / "acks", face, durability, str(COUNT)]
    made = record(arguments, folder, data="db/data.mdb")
    assert len(made.acks) == COUNT
    return made


@pytest.fixture(scope="module", params=FACES)
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recorded(tmp_path_factory.mktemp("recorded"), request.param, "commit")


def faults(recording: Recording, where: Path, cuts: list[int], keep: Keep | random.Random | None) -> list[list[str]]:
    """Return what is wrong in the file after a power cut at each of these positions."""
    cases = []
    for number, cut in enumerate(cuts):
        folder = where / str(number)
        recording.replay_at(cut, folder / "db", keep)
        cases.append((str(folder), recording.acked_at(cut)))
    return [json.loads(line) for line in run_python(["-c", READER], stdin=json.dumps(cases)).splitlines()]


def test_each_answer_comes_after_the_sync_that_covers_it(recording: Recording, tmp_path: Path) -> None:
    cuts = [ack.position for ack in recording.acks[:: face_traffic.BURST // 4]]
    assert faults(recording, tmp_path, cuts, None) == [[]] * len(cuts)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_else_reached_the_disk_does_no_harm(recording: Recording, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    first = recording.acks[0].position
    cuts = [cut for cut in recording.cuts(rng, 60) if cut >= first][:25]
    assert cuts
    for number, keep in enumerate((rng, keeping(rng, 0.1), keeping(rng, 0.9))):
        assert faults(recording, tmp_path / str(number), cuts, keep) == [[]] * len(cuts)


@pytest.mark.parametrize("face", FACES)
def test_an_answer_on_acceptance_is_seen_to_be_lost(tmp_path: Path, face: str) -> None:
    made = recorded(tmp_path / "recorded", face, "queued")
    (lost,) = faults(made, tmp_path / "cut", [made.acks[0].position], None)
    assert lost == ["0 is lost"]
    assert faults(made, tmp_path / "end", [made.end], None) == [[]]
