# SPDX-License-Identifier: MIT
"""SIGKILL while events are appended, swept, filled and dropped: the next process finds exact indexes, and goes on."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from random import Random

import pytest

import zlmdb
from tests.crash.processes import Child, acked
from zlmdb_eventhistory import Event, EventHistory, Pattern, Subscription

pytestmark = [pytest.mark.crash, pytest.mark.slow]

TOPICS = [f"com.{kind}.{number}" for kind in "ab" for number in range(5)] + ["org.kept"]
KEPT = Subscription("org.kept")
CONFIGURATIONS = [
    [Pattern("com.", "prefix", max_count=150), Pattern("com.a.", "prefix")],
    [Pattern("com.", "prefix", max_age_ns=300), Pattern("..3", "wildcard", max_bytes=2_000)],
    [Pattern("com.b.", "prefix", max_count=40, max_age_ns=500)],
    [Pattern("com.", "prefix", max_count=100)],
]


def child(path: str, acks: str, seed: int) -> None:
    """Change the configuration every few rounds, and do one slice between two rounds of appending, until killed."""
    acknowledged = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    random = Random(seed)
    with zlmdb.Database(path) as db:
        history = db.attach(EventHistory)
        with db.begin() as txn:
            number = history.state(txn).last
            kept = sum(1 for _ in history.select(txn, topic=KEPT.uri))
        history.clock = lambda: number
        for round_ in count():
            with db.begin(write=True) as txn:
                if round_ % 5 == 0:
                    history.configure(txn, random.choice(CONFIGURATIONS))
                for _ in range(20):
                    topic = random.choice(TOPICS)
                    number = history.append(txn, Event(publication=number + 1, topic=topic, time_ns=number + 1))
                    if topic == KEPT.uri:
                        history.dispatch(txn, number, KEPT)
                        kept += 1
            os.write(acknowledged, f"ACK {number}:{kept}\n".encode())
            with db.begin(write=True) as txn:
                history.maintain(txn, random.randint(1, 40))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_process_that_is_killed_at_any_moment_leaves_exact_indexes(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    code = "from tests.test_event_history_kill import child; import sys; child(*sys.argv[1:3], int(sys.argv[3]))"
    for round_ in range(6):
        acks = tmp_path / f"acks{round_}"
        arguments = ["-c", code, tmp_path / "db", acks, str(seed * 100 + round_)]
        with Child(arguments, acks) as process:
            process.wait_for_acks(random.randint(1, 60))
            process.kill()
        look(tmp_path / "db", *map(int, acked(acks)[-1].split(":")))


def look(path: Path, last: int, number_kept: int) -> None:
    """Check the file against what was acknowledged: the last sequence, and how many events nothing lets go."""
    with zlmdb.Database(path) as db:
        history = db.attach(EventHistory)
        with db.begin() as txn:
            reached = history.state(txn).last
            assert reached >= last
            history.clock = lambda: reached
            assert history.problems(txn) == []
            kept = [event.publication for event in history.select(txn, topic=KEPT.uri)]
            sent = [event.publication for event in history.select(txn, subscription=KEPT)]
            publications = dict(history.by_publication.select(txn))
        report = db.check(history)
        assert report.ok, str(report)
        assert kept == sent
        assert all(key == value for key, value in publications.items())
        assert len(kept) >= number_kept
