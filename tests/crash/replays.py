# SPDX-License-Identifier: MIT
"""Power cuts of a recording, and what its own module says of the files that they leave."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import ModuleType

from tests.crash.processes import run_python
from tests.crash.recording import Keep, Recording, keeping

_READER = """
import json, sys
from importlib import import_module
from pathlib import Path
missing = import_module(sys.argv[1]).missing
for folder, acked in json.loads(sys.stdin.read()):
    print(json.dumps(missing(Path(folder), acked)))
"""


def faults(
    recording: Recording, child: ModuleType, where: Path, cuts: list[int], keep: Keep | random.Random | None
) -> list[list[str]]:
    """Return what ``child.missing`` says of the file after a power cut at each of these positions."""
    cases = []
    for number, cut in enumerate(cuts):
        folder = where / str(number)
        recording.replay_at(cut, folder / "db", keep)
        cases.append((str(folder), recording.acked_at(cut)))
    lines = run_python(["-c", _READER, child.__name__], stdin=json.dumps(cases)).splitlines()
    assert len(lines) == len(cuts)
    return [json.loads(line) for line in lines]


def faults_at_random(recording: Recording, child: ModuleType, where: Path, seed: int) -> list[str]:
    """Return what is wrong after 25 random cuts behind the first acknowledgement, each with three ways of losing."""
    rng = random.Random(seed)
    first = recording.acks[0].position
    cuts = [cut for cut in recording.cuts(rng, 60) if cut >= first][:25]
    assert cuts
    ways = (rng, keeping(rng, 0.1), keeping(rng, 0.9))
    found = [faults(recording, child, where / str(number), cuts, keep) for number, keep in enumerate(ways)]
    return [fault for each in found for one in each for fault in one]
