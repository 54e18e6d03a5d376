# SPDX-License-Identifier: MIT
"""The realm store's promise against a power cut: what a commit acknowledged was synced before."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.crash import realm_traffic
from tests.crash.processes import run_python
from tests.crash.recording import Keep, Recording, keeping, record

pytestmark = [pytest.mark.crash, pytest.mark.slow]

COUNT = 150
READER = """
import json, sys
from pathlib import Path
from tests.crash.realm_traffic import missing
for folder, acked in json.loads(sys.stdin.read()):
    print(json.dumps(missing(Path(folder), acked, ["db"])))
"""


def recorded(folder: Path, durability: str) -> Recording:
    folder.mkdir(exist_ok=True)
    arguments = [realm_traffic.__file__, folder, folder / "acks", durability, "direct", str(COUNT)]
    made = record(arguments, folder, data="db/data.mdb")
    assert len(made.acks) == COUNT
    return made


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recorded(tmp_path_factory.mktemp("recorded"), "commit")


def faults(recording: Recording, where: Path, cuts: list[int], keep: Keep | random.Random | None) -> list[list[str]]:
    """Return what is wrong in the file after a power cut at each of these positions."""
    cases = []
    for number, cut in enumerate(cuts):
        folder = where / str(number)
        recording.replay_at(cut, folder / "db", keep)
        cases.append((str(folder), recording.acked_at(cut)))
    lines = run_python(["-c", READER], stdin=json.dumps(cases)).splitlines()
    assert len(lines) == len(cuts)
    return [json.loads(line) for line in lines]


def batches(recording: Recording) -> list[int]:
    """Return the position of each acknowledgement before which the file changed."""
    changed = [change.start for change in recording.changes]
    found, before = [], -1
    for ack in recording.acks:
        if any(before < start <= ack.position for start in changed):
            found.append(ack.position)
        before = ack.position
    return found


def test_each_acknowledgement_comes_after_the_sync_that_covers_it(recording: Recording, tmp_path: Path) -> None:
    cuts = sorted({*batches(recording), *(ack.position for ack in recording.acks[::10]), recording.acks[-1].position})
    assert len(batches(recording)) > 1
    assert faults(recording, tmp_path, cuts, None) == [[]] * len(cuts)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_else_reached_the_disk_does_no_harm(recording: Recording, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    first = recording.acks[0].position
    cuts = [cut for cut in recording.cuts(rng, 60) if cut >= first][:25]
    assert cuts
    for number, keep in enumerate((rng, keeping(rng, 0.1), keeping(rng, 0.9))):
        assert faults(recording, tmp_path / str(number), cuts, keep) == [[]] * len(cuts)


def test_an_acknowledgement_on_acceptance_is_seen_to_be_lost(tmp_path: Path) -> None:
    made = recorded(tmp_path / "recorded", "queued")
    (lost,) = faults(made, tmp_path / "cut", [made.acks[0].position], None)
    assert lost == [f"{made.acks[0].id} is lost"]
    (lost,) = faults(made, tmp_path / "end", [made.end], None)
    assert lost == []
