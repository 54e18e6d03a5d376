# SPDX-License-Identifier: MIT
"""CBOR is written right by threads that alternate in the middle of a record, and after a failure in one."""

import datetime as dt
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from zlmdb.codecs import value_codec
from zlmdb.codecs.declared import declare_record


class Pause(dt.tzinfo):
    """The zone of a time at which its writer lets the other thread go on."""

    def __init__(self, turn: threading.Barrier) -> None:
        self.turn = turn
        self.paused = False

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        self.turn.wait(10)
        self.turn.wait(10)
        self.paused = True
        return dt.timedelta(0)


TIME = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@dataclass
class Reading:
    sensor: str
    values: list[int]


declare_record(Reading, "0c1b7a90-5a0e-4b8f-9f0e-6d1c5b2a00aa")


def test_two_threads_that_alternate_write_each_its_own_bytes() -> None:
    codec = value_codec("Cbor")
    turn = threading.Barrier(2)
    written: dict[int, bytes] = {}

    zones = [Pause(turn), Pause(turn)]

    def write(number: int) -> None:
        time = TIME.replace(tzinfo=zones[number])
        written[number] = codec.encode([number, time, Reading("a", [number]), time, number])

    threads = [threading.Thread(target=write, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(zone.paused for zone in zones)
    for number in (0, 1):
        assert codec.decode(written[number]) == [number, TIME, Reading("a", [number]), TIME, number]


def test_a_failure_in_the_middle_leaves_nothing_behind() -> None:
    codec = value_codec("Cbor")
    before = codec.encode([1, "text", b"bytes"])
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    for bad in (["begun", object()], cyclic, [Reading("a", [object()])]):  # type: ignore[list-item]
        with pytest.raises(Exception, match="stored"):
            codec.encode(bad)
        assert codec.encode([1, "text", b"bytes"]) == before
