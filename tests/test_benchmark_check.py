# SPDX-License-Identifier: MIT
"""The benchmarks compare what they measured with the targets, and report it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich")

from benchmarks import __main__ as command
from benchmarks import report
from benchmarks.results import Expense, Findings, Lateness, Result, target_of
from benchmarks.rows import ASYNCHRONOUS, BY_HAND, COSTS, SYNCHRONOUS, Cost, Row

pytestmark = pytest.mark.slow

TINY = ["--records=100", "--counted=100", "--records-of-scan=100", "--rounds=1", "--no-peers"]
ROW = Row("read_dict", "point read to dict", 0.5)
COST = Cost("import", "import zlmdb", 60, "ms")


def measured(target: float, *rounds: tuple[float, float]) -> Result:
    """A result with what raw LMDB and ours took in each round."""
    return Result(Row(ROW.name, ROW.title, target), [{"raw": raw, "ours": ours} for raw, ours in rounds])


def main(*options: str) -> int:
    return command.main([*TINY, *options])


def with_targets(monkeypatch: pytest.MonkeyPatch, target: float) -> None:
    monkeypatch.setattr(command, "SYNCHRONOUS", (Row("read_dict", ROW.title, target), Row("seek", "seek", 0)))


def test_a_ratio_at_its_target_is_met_and_below_it_is_missed() -> None:
    assert measured(0.5, (1.0, 2.0)).missed is None
    missed = measured(0.51, (1.0, 2.0)).missed
    assert missed == "read_dict (point read to dict): 0.5, target >= 0.51"


def test_a_target_is_lower_where_code_written_by_hand_is_slower_too() -> None:
    row = Row("seek", "seek", 0.6, by_hand=0.5)

    def result(ours: float, by_hand: float) -> Result:
        return Result(row, [{"raw": 1.0, "ours": 1 / ours, "by hand": 1 / by_hand}])

    assert result(0.3, 0.25).missed is None
    assert result(0.29, 0.25).missed == "seek (seek): 0.29, target >= 0.6 (0.3 here)"
    assert result(0.61, 0.9).missed is None, "and never higher"
    assert Result(row, [{"raw": 1.0, "ours": 2.0}]).missed == "seek (seek): 0.5, target >= 0.6"


def test_the_asynchronous_targets_are_lower_with_the_contestant_that_is_written_by_hand() -> None:
    assert [row.by_hand for row in ASYNCHRONOUS] == [17, 5.7, 0.8, 6.5, 18]
    result = Result(ASYNCHRONOUS[0], [{"raw": 8.5, "by hand": 1.0, "ours": 1.4}])
    assert result.missed is None
    assert target_of(result) == ">= 12 (6 here)"


def test_a_ratio_short_of_its_target_by_less_than_its_uncertainty_is_within_noise() -> None:
    noisy = [(1.0, 2.5), (1.0, 2.0), (0.6, 1.0)]  # ratios of 0.4, 0.5 and 0.6
    result = measured(0.51, *noisy)
    assert result.missed is not None, "it is measured once more like all that is short"
    assert result.within_noise
    assert Findings(results=[result]).missed() == []
    assert Findings(results=[result]).within_noise() == [result.missed]
    assert not measured(0.5, *noisy).within_noise, "which is met"
    assert not Result(ROW, [{"raw": 1.0}]).within_noise, "which was not measured"


def test_the_uncertainty_is_the_standard_error_of_the_median_and_at_most_3_percent_of_the_target() -> None:
    ratios = [0.49, 0.5, 0.5, 0.51, 0.508]
    spread = 0.508 - 0.5
    assert measured(0.5, *((ratio, 1.0) for ratio in ratios)).uncertainty == pytest.approx(0.625 * spread / 5**0.5)
    assert measured(0.53, (0.4, 1.0), (0.5, 1.0), (0.6, 1.0)).uncertainty == pytest.approx(0.03 * 0.53)
    assert not measured(0.53, (0.4, 1.0), (0.5, 1.0), (0.6, 1.0)).within_noise
    assert measured(0.51, (1.0, 2.0)).uncertainty == measured(0.51, (1.0, 2.0), (1.0, 2.0)).uncertainty == 0
    assert not measured(0.5001, (1.0, 2.0), (1.0, 2.0)).within_noise


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    # the second round found the whole machine slow, the third met only ours: neither says anything about ours
    result = measured(0.5, (1.0, 2.0), (10.0, 20.0), (1.0, 9.0), (1.0, 2.0), (1.0, 1.9))
    assert result.ratio("ours") == 0.5
    assert result.seconds("raw") == 1.0
    assert result.missed is None


def test_rounds_in_which_a_contestant_failed_do_not_count_for_it() -> None:
    result = Result(ROW, [{"raw": 1.0, "ours": 2.0}, {"raw": 1.0, "ours": 2.0, "existing": 4.0}, {"ours": 2.0}])
    assert result.ratio("existing") == 0.25
    assert result.ratio("sqlite3") is None


def test_a_row_that_was_not_measured_is_missed() -> None:
    missed = Result(ROW, [{"raw": 1.0}]).missed
    assert missed is not None
    assert "not measured" in missed


def test_a_cost_above_its_limit_is_missed_whatever_its_ratio() -> None:
    assert Expense(COST, [{"ours": 60.0, "by hand": 1.0}]).missed is None
    expense = Expense(COST, [{"ours": 61.0, "by hand": 122.0}])
    assert expense.missed == "import (import zlmdb): 61 ms, target <= 60 ms"
    assert expense.ratio("ours") == 0.5


def test_a_limit_is_higher_where_the_existing_package_needs_more_too() -> None:
    cost = Cost("import", "import zlmdb", 60, "ms", existing=130)
    assert Expense(cost, [{"ours": 90.0, "existing": 195.0}]).missed is None
    missed = Expense(cost, [{"ours": 91.0, "existing": 195.0}]).missed
    assert missed == "import (import zlmdb): 91 ms, target <= 60 ms (90 here)"
    assert Expense(cost, [{"ours": 60.0, "existing": 65.0}]).missed is None, "and never lower"
    assert Expense(cost, [{"ours": 61.0}]).missed is not None


@pytest.mark.parametrize(("p99", "latest", "rate"), [(0.0011, 0.004, 3e5), (0.001, 0.0051, 3e5), (0.001, 0.005, 1e5)])
def test_each_limit_of_lateness_counts_for_ours_alone(p99: float, latest: float, rate: float) -> None:
    missed = Lateness("ours: db.write(fn)", p99, latest, rate).missed
    assert missed is not None
    assert missed.startswith("lateness (ours: db.write(fn))")
    assert Lateness("raw LMDB", p99, latest, rate).missed is None
    assert Lateness("ours: db.write(fn)", 0.001, 0.005, 2e5).missed is None


def test_the_rate_of_lateness_is_lower_where_code_written_by_hand_is_slower_too() -> None:
    def late(rate: float, by_hand: float | None) -> Lateness:
        return Lateness("ours: db.write(fn)", 0.001, 0.005, rate, by_hand)

    assert late(1e5, 220_000).missed is None
    missed = late(99_999, 220_000).missed
    assert missed is not None
    assert missed.endswith("99,999 events/s, target p99 <= 1 ms, max <= 5 ms, >= 200,000 events/s (100,000 here)")
    assert late(2e5, 1e6).missed is None, "and never higher"
    assert late(199_999, 1e6).missed is not None
    assert late(199_999, None).missed is not None
    assert Lateness("ours: db.write(fn)", 0.0011, 0.005, 2e5, 220_000).missed is not None, "the lateness by itself"


def test_the_loop_may_be_later_where_it_is_under_code_written_by_hand_too() -> None:
    def late(p99: float, by_hand_p99: float | None, latest: float = 0.005) -> Lateness:
        return Lateness("ours: db.write(fn)", p99, latest, 2e5, 1e6, by_hand_p99)

    assert late(0.002, 0.001).missed is None
    missed = late(0.0021, 0.001).missed
    assert missed is not None
    assert missed.endswith("target p99 <= 1 ms (2 here), max <= 5 ms, >= 200,000 events/s")
    assert late(0.001, 0.0001).missed is None, "and never less"
    assert late(0.0011, None).missed is not None
    assert late(0.001, 0.001, 0.0051).missed is not None


def test_the_report_names_versions_ratios_and_what_is_missed() -> None:
    taken = {"raw": 1.0, "ours": 0.1, "by hand": 0.25, "adbapi": 2.0, "ours, asyncio": 0.2, "lmdb.aio": 4.0}
    noisy = measured(0.51, (0.4, 1.0), (0.5, 1.0), (0.6, 1.0))
    findings = Findings(
        results=[measured(0.51, (1.0, 2.0)), noisy],
        deferred=[Result(ASYNCHRONOUS[0], [taken])],
        lateness=[Lateness("idle", 0.0001, 0.0002, 0.0)],
        expenses=[Expense(COST, [{"ours": 30.0, "by hand": 10.0}])],
        notes=["something is absent"],
    )
    text = report.markdown(findings, report.environment())
    for name in ("lmdb", "cbor2", "numpy", "flatbuffers"):
        assert f"- {name}: {version(name)}" in text
    assert "| point read to dict | 1,000 ms | 0.50 | - | - | - | - | >= 0.51 | MISSED |" in text
    assert "| import zlmdb | 30 ms | - | 10 ms | 3.00 | <= 60 ms | met |" in text
    assert "- MISSED: read_dict" in text
    assert "| point read to dict | 500 ms | 0.50 | - | - | - | - | >= 0.51 | within noise |" in text
    assert "- within noise: read_dict" in text
    assert "| LMDB + deferToThread | ours | by hand | adbapi | ours, asyncio | aiolmdb | lmdb.aio | target |" in text
    row = "| read, awaited one by one | 1,000 ms | 10 | 4.00 | 0.50 | 5.00 | - | 0.25 | >= 12 (2.8 here) | met |"
    assert row in text
    assert "something is absent" in text
    found = report.as_json(findings, {}, {})
    assert [(row["met"], row["within_noise"]) for row in found["rows"]] == [(False, False), (False, True)]
    assert found["asynchronous"][0]["ratios"]["ours, asyncio"] == 5
    assert (len(found["missed"]), len(found["within_noise"])) == (1, 1)


def test_a_row_below_its_target_fails_the_check_after_a_second_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_targets(monkeypatch, 1e9)
    assert main("--check", "--only=synchronous", f"--output={tmp_path / 'new' / 'out.md'}") == 1
    assert "below its target: read_dict (point read to dict)" in capsys.readouterr().out
    found = json.loads((tmp_path / "new" / "out.json").read_text())
    assert [(row["met"], len(row["rounds"])) for row in found["rows"]] == [(False, 3), (True, 1)]
    assert len(found["missed"]) == 1


def test_a_row_at_its_target_passes_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_targets(monkeypatch, 0.0)
    assert main("--check", "--only=synchronous") == 0
    assert "below its target" not in capsys.readouterr().out


def test_what_is_within_noise_passes_the_check_and_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = Findings(results=[measured(0.51, (0.4, 1.0), (0.5, 1.0), (0.6, 1.0))])
    monkeypatch.setattr(command, "measure", lambda options, console: findings)
    assert main("--check") == 0
    said = capsys.readouterr().out
    assert "within noise: read_dict (point read to dict): 0.5, target >= 0.51" in said
    assert "below its target" not in said


def test_without_check_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with_targets(monkeypatch, 1e9)
    assert main("--only=read_dict") == 0


@pytest.mark.parametrize("options", [["--only=nonsense"], ["--rounds=0"], ["--records=99"], ["--output=results.txt"]])
def test_bad_options_are_refused_before_anything_runs(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(*options)
    assert raised.value.code == 2
    assert "error:" in capsys.readouterr().err


def smoke(output: Path, *names: str) -> dict[str, Any]:
    """Run the command for real; return the JSON it wrote."""
    run = [sys.executable, "-m", "benchmarks", *TINY, f"--output={output}", *(f"--only={name}" for name in names)]
    done = subprocess.run(run, cwd=Path(command.__file__).parent.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(output.with_suffix(".json").read_text())
    return found


def test_every_synchronous_row_and_cost_is_measured(tmp_path: Path) -> None:
    output = tmp_path / "out.md"
    found = smoke(output, "synchronous", "costs")
    contestants = {"raw", "ours", "by hand", "sqlite3"}
    assert {row["row"]["name"]: set(row["ratios"]) for row in found["rows"]} == {
        row.name: contestants for row in SYNCHRONOUS
    }
    assert all(ratio > 0 for row in found["rows"] for ratio in row["ratios"].values())
    values = {cost["cost"]["name"]: cost["values"]["ours"] for cost in found["costs"]}
    if sys.platform == "linux":
        assert set(values) == {cost.name for cost in COSTS}
    assert all(value >= 0 for value in values.values())
    assert found["about"]["lmdb"].startswith(version("lmdb"))
    assert found["options"]["records"] == 100
    assert all(f"| {row.title} |" in output.read_text() for row in SYNCHRONOUS)


def test_every_asynchronous_row_is_measured_on_both_loops(tmp_path: Path) -> None:
    found = smoke(tmp_path / "out.md", "asynchronous")
    contestants = {"raw", "ours", "by hand", "adbapi", "ours, asyncio", "lmdb.aio"}
    assert {row["row"]["name"]: set(row["ratios"]) for row in found["asynchronous"]} == {
        row.name: contestants for row in ASYNCHRONOUS
    }
    assert {late["title"].partition(":")[0] for late in found["lateness"]} >= {"idle", BY_HAND, "ours", "ours, asyncio"}
    assert {late["by_hand"] for late in found["lateness"]} == {
        late["events_per_second"] for late in found["lateness"] if late["title"] == BY_HAND
    }
    assert found["rows"] == found["costs"] == []
