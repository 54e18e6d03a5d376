# SPDX-License-Identifier: MIT
"""The command ``zlmdb``: what it tells of a database, how it fails, and how it behaves as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import zlmdb
from tests.children import Held, fill, pipe
from tests.cli_samples import (
    MODULE,
    ROOT,
    command,
    file_of,
    make,
    run,
    script,
)
from zlmdb.storage import data_file


@pytest.fixture
def path(tmp_path: Path, lib_version: str, no_fixed_slots: None) -> str:
    """A database with a table of many a kind."""
    make(str(tmp_path / "db"), lib_version)
    return str(tmp_path / "db")


# --- info, stats, readers, version -------------------------------------------------------------------


def test_info_begins_with_the_sorted_lines_of_stats_as_the_published_command_prints_them(path: str) -> None:
    with zlmdb.Database(path, readonly=True) as db:
        stats = db.stats()
    head, _, _ = run("info", path).stdout.partition("\n\n")
    lines = [line.partition(": ")[::2] for line in head.splitlines()]
    assert [name for name, _ in lines] == sorted(stats)
    told = dict(lines)
    assert all(told[name] == str(stats[name]) for name in ("current_size", "lib_version", "num_slots", "used", "psize"))


def test_info_lists_tables_with_slot_kind_and_records(path: str) -> None:
    told = json.loads(run("info", path, "--json").stdout)
    found = {table["name"].rpartition(".")[2] if table["name"] else None: table for table in told["tables"]}
    assert found["People"] == {
        "slot": 1,
        "oid": "2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0002",
        "name": f"{MODULE}.People",
        "kind": "Uuid/Cbor",
        "records": 1,
    }
    assert found["PeopleByName"]["kind"] == "String/UuidSet"
    assert found[None] == {"slot": 500, "oid": None, "name": None, "kind": None, "records": 1}
    assert f"{MODULE}.People\n" in run("info", path).stdout


def test_info_requires_a_format_when_asked_to(path: str, lib_version: str) -> None:
    other = {"0.9": "1.0", "1.0": "0.9"}[lib_version]
    assert f"lib_version: {lib_version}\n" in run("info", path, "--lib-version", lib_version).stdout
    assert (
        f"error: the file has the format of LMDB {lib_version}"
        in run("info", path, "--lib-version", other, code=1).stderr
    )
    run("info", path, "--lib-version", "2.0", code=2)


def test_stats_tells_used_and_reusable_bytes_and_those_of_each_table(tmp_path: Path) -> None:
    fill(tmp_path / "db", records=1000, size=100)
    told = json.loads(run("stats", tmp_path / "db", "--json").stdout)
    assert told["used"] + told["reusable"] <= told["file"]
    assert told["tables"] == [
        {
            "slot": 1,
            "oid": None,
            "name": None,
            "kind": None,
            "records": 1000,
            "key_bytes": 8000,
            "value_bytes": 100_000,
            "largest_value": 100,
        }
    ]
    assert "largest_value" in run("stats", tmp_path / "db").stdout


def test_readers_shows_who_holds_an_old_state_and_clears_the_slots_of_the_dead(path: str) -> None:
    reading = "db = zlmdb.Database(sys.argv[1]); txn = db.begin(); txn.__enter__(); hold('reading')"
    with Held(reading, path) as living, Held(reading, path) as dead:
        assert living.said() == dead.said() == "reading"
        dead.kill()
        pids = [row["pid"] for row in json.loads(run("readers", path, "--json").stdout)["readers"]]
        assert sorted(pids) == sorted([living.process.pid, dead.process.pid])
        told = json.loads(run("readers", path, "--clear", "--json").stdout)
        assert told["cleared"] == 1
        assert [(row["pid"], row["behind"]) for row in told["readers"]] == [(living.process.pid, 0)]
        living.process.kill()


def test_version_tells_that_of_the_package_and_of_both_engines() -> None:
    told = json.loads(run("version", "--json").stdout)
    assert (told["zlmdb"], told["lmdb 1.0"].split(".")[0]) == (zlmdb.__version__, "1")
    assert run("--version").stdout == f"zlmdb {zlmdb.__version__}\n"


# --- reading leaves no trace, and bad input ----------------------------------------------------------

READING = [["info"], ["stats"], ["check"], ["dump"], ["dump", "--raw"], ["readers"], ["readers", "--clear"]]
READING += [["info", "--json"], ["stats", "--no-lock"], ["dump", "--no-lock"], ["check", "--no-lock"]]


@pytest.mark.parametrize("words", READING)
def test_a_command_that_reads_changes_nothing_in_the_file(path: str, words: list[str]) -> None:
    before = file_of(path), data_file(path).stat().st_mtime_ns
    name, *options = words
    run(name, path, *options)
    assert (file_of(path), data_file(path).stat().st_mtime_ns) == before
    assert sorted(each.name for each in Path(path).iterdir()) == ["data.mdb", "lock.mdb"]


@pytest.mark.parametrize("name", ["info", "stats", "check", "dump", "readers", "compact"])
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "cut")
    os.truncate(data_file(tmp_path / "cut"), 20_000)
    (tmp_path / "other").mkdir()
    data_file(tmp_path / "other").write_bytes(b"something else" * 1000)
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    before = {each: each.stat().st_size for each in tmp_path.rglob("*") if each.is_file()}
    assert "cut short" in run(name, tmp_path / "cut", code=1).stderr
    assert "not an LMDB data file" in run(name, tmp_path / "other", code=1).stderr
    assert "a directory was expected" in run(name, tmp_path / "file", code=1).stderr
    assert "no database here" in run(name, tmp_path / "missing", code=1).stderr
    assert "no database here" in run(name, tmp_path / "empty", code=1).stderr
    run(name, "", code=2)
    assert {each: each.stat().st_size for each in tmp_path.rglob("*") if each.is_file()} == before


def test_an_error_is_told_as_what_where_got_expected_and_next_step(path: str, lib_version: str) -> None:
    other = {"0.9": "1.0", "1.0": "0.9"}[lib_version]
    lines = run("info", path, "--lib-version", other, code=1).stderr.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["error", "where", "got", "expected", "next"]
    assert lines[1] == f"  where: {path}"


def test_traceback_shows_where_an_error_arises(tmp_path: Path) -> None:
    done = subprocess.run(
        [*script(), "info", tmp_path / "none", "--traceback"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "DatabaseMissing" in done.stderr


def test_names_from_the_file_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    @zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0010")
    class Odd(zlmdb.MapStringString):
        pass

    Odd.__name__ = "\x1b[2Jodd\u202e"
    with zlmdb.Database(tmp_path / "db") as db:
        db.attach_table(Odd)
    for words in (["info"], ["stats"], ["check"], ["dump", "--table", "x"]):
        result = CliRunner().invoke(command, [words[0], str(tmp_path / "db"), *words[1:]])
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output


# --- the process -------------------------------------------------------------------------------------


def test_the_script_runs_and_every_command_has_help() -> None:
    context = click.Context(command)
    done = subprocess.run([*script(), "--help"], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in command.list_commands(context))
    for name in command.list_commands(context):
        assert "Usage: " in run(name, "--help").stdout
    assert all(command.commands[name].short_help and command.commands[name].help for name in command.commands)


def test_python_dash_m_is_the_same_command(path: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zlmdb", "dump", path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == run("dump", path).stdout


def test_without_the_extra_it_names_the_extra_and_ends_with_3() -> None:
    code = "import sys; sys.modules['click'] = None; from zlmdb.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 3
    assert "pip install zlmdb[cli]" in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_the_package_does_not_import_the_command_line() -> None:
    code = "import sys, zlmdb; sys.exit('click' in sys.modules or 'zlmdb.cli' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.fixture
def large(tmp_path: Path) -> str:
    """A database whose dump is larger than what a pipe holds."""
    fill(tmp_path / "db", records=5000)
    return str(tmp_path / "db")


@pytest.fixture
def dumping(large: str) -> Iterator[subprocess.Popen[str]]:
    """A dump that has begun and cannot go on, as nobody reads more than its first line."""
    with subprocess.Popen(
        [*script(), "dump", large], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert pipe(process.stdout).readline().startswith("{")
        yield process
        process.kill()


def test_dump_into_a_closed_pipe_ends_quietly(dumping: subprocess.Popen[str]) -> None:
    pipe(dumping.stdout).close()
    assert pipe(dumping.stderr).read() == ""
    assert dumping.wait(60) == 1


def test_ctrl_c_ends_it_with_130_and_one_word(dumping: subprocess.Popen[str]) -> None:
    dumping.send_signal(signal.SIGINT)
    _, error = dumping.communicate(timeout=60)
    assert (dumping.returncode, error) == (128 + signal.SIGINT, "interrupted\n")


def test_a_full_disk_behind_stdout_is_an_error_without_a_traceback(large: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*script(), "dump", large], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_another_process_writes_to_can_be_looked_at(path: str) -> None:
    writing = "db = zlmdb.Database(sys.argv[1]); txn = db.begin(write=True); txn.__enter__(); hold('writing')"
    with Held(writing, path) as other:
        assert other.said() == "writing"
        for name in ("info", "stats", "check", "dump"):
            run(name, path)
        other.kill()
