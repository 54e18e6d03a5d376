# SPDX-License-Identifier: MIT
"""Events as NumPy arrays and Arrow tables, and the example that plots a day of them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from examples.history import day
from zlmdb import errors
from zlmdb_eventhistory import Event, EventHistory

ROOT = Path(__file__).parent.parent


@pytest.fixture
def history(db: zlmdb.Database) -> EventHistory:
    history = db.attach(EventHistory)
    with db.begin(write=True) as txn:
        for number in range(10):
            publisher = number if number % 2 else None
            topic = f"com.{number % 3}"
            history.append(
                txn,
                Event(publication=number, topic=topic, time_ns=number, publisher=publisher, args=[number / 2, "a"]),
            )
    return history


def test_events_are_columns(db: zlmdb.Database, history: EventHistory) -> None:
    with db.begin() as txn:
        arrays = history.arrays(txn, topic="com.1")
        assert {name: array.tolist() for name, array in arrays.items() if name != "publisher"} == {
            "sequence": [2, 5, 8],
            "time": [1, 4, 7],
            "publication": [1, 4, 7],
            "topic": ["com.1"] * 3,
        }
        assert [str(array.dtype) for array in arrays.values()] == [
            "int64",
            "datetime64[ns]",
            "int64",
            "object",
            "float64",
        ]
        np.testing.assert_array_equal(arrays["publisher"], [1, np.nan, 7])
        mine = history.arrays(txn, ["time"], {"half": lambda event: event.args[0]}, from_ns=8, reverse=True)
        assert list(pd.DataFrame(mine)["half"]) == [4.5, 4.0]
        table = history.to_arrow(txn, columns={"half": lambda event: event.args[0]}, match="prefix", topic="com.1")
    assert table.column_names == ["sequence", "time", "publication", "topic", "publisher", "half"]
    assert table["publisher"].to_pylist() == [1, None, 7]
    assert str(table["time"].type) == "timestamp[ns]"
    assert table["half"].to_pylist() == [0.5, 2.0, 3.5]


def test_no_events_are_empty_columns(db: zlmdb.Database, history: EventHistory) -> None:
    with db.begin() as txn:
        assert [len(array) for array in history.arrays(txn, topic="no").values()] == [0] * 5
        assert history.to_arrow(txn, topic="no").num_rows == 0


NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(allow_nan=False), st.text())


@given(st.lists(NUMBERS, max_size=6))
def test_no_value_is_changed_by_becoming_an_element(values: list[Any]) -> None:
    from zlmdb_eventhistory import _export

    (array,) = _export.arrays({"value": values}).values()
    found = [None if isinstance(item, float) and np.isnan(item) else item for item in array.tolist()]
    assert found == values
    if array.dtype.kind in "bO":
        assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(
    "wrong", [{"fields": "time"}, {"fields": ["no"]}, {"fields": [[]]}, {"columns": {"time": len}}]
)
@pytest.mark.parametrize("way", ["arrays", "to_arrow"])
def test_wrong_columns_are_refused(db: zlmdb.Database, history: EventHistory, way: str, wrong: dict[str, Any]) -> None:
    with db.begin() as txn, pytest.raises(errors.ConfigError) as caught:
        getattr(history, way)(txn, **wrong)
    assert caught.value.expected


def test_what_has_no_column_is_told(db: zlmdb.Database, history: EventHistory) -> None:
    with db.begin(write=True) as txn:
        history.append(txn, Event(publication=100, topic="com.late", time_ns=2**63))
    with db.begin() as txn:
        with pytest.raises(errors.WrongValue, match="time"):
            history.arrays(txn)
        with pytest.raises(errors.WrongValue, match="'time'"):
            history.to_arrow(txn)
        with pytest.raises(errors.WrongValue, match="'mixed'"):
            history.to_arrow(txn, [], {"mixed": lambda event: event.publication if event.publication % 2 else "a"})


# --- the example


def example(path: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "examples.history", "--data", str(path / "db"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


def test_the_example_charts_a_day_of_events(tmp_path: Path) -> None:
    lines = example(tmp_path, "--events", "3000", "--text").splitlines()
    assert "3,000 events" in lines[0]
    counts = [int(line.split()[1].replace(",", "")) for line in lines if line[2:3] == ":"]
    assert len(counts) == 24
    assert sum(counts) == 3000
    made = np.array([event.time_ns for event in day.events(1, 3000)], "M8[ns]")
    expected = np.bincount((made - made.astype("M8[D]")) // np.timedelta64(1, "h"), minlength=24)
    assert counts == expected.tolist()
    again = example(tmp_path, "--events", "3000", "--text")
    assert again.splitlines()[1:] == lines[1:]


def test_the_same_seed_gives_the_same_day() -> None:
    assert list(day.events(1, 50)) == list(day.events(1, 50))
    assert list(day.events(1, 50)) != list(day.events(2, 50))


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is an extra of the example")
def test_the_example_draws_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "day.png"
    assert str(picture) in example(tmp_path, "--events", "500", "--output", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
