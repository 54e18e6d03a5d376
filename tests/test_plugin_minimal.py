# SPDX-License-Identifier: MIT
"""The foreign plugin of ``examples/plugin-minimal``, installed as pip does it, and the page that explains it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "plugin-minimal"
PAGE = (ROOT / "docs" / "writing-a-plugin.md").read_text()
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
SHELL = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what the page says into a directory."""
    project = tmp_path_factory.mktemp("plugin") / "project"
    for name, text in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


@pytest.fixture(scope="module")
def run(project: Path) -> Run:
    """Run commands of the page with the plugin installed."""
    site = project.parent / "site"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    environment.pop("ZLMDB_PLUGINS", None)

    def run(command: str, *more: str, status: int = 0) -> str:
        program, *arguments = command.split()
        start = [sys.executable] if program == "python" else [sys.executable, "-m", program]
        full = [*start, *arguments, *more]
        done = subprocess.run(full, cwd=project, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    run("pip install .", "--quiet", "--no-deps", "--target", str(site))
    return run


def test_the_page_shows_the_files_of_the_example() -> None:
    of_example = {name: text for name, text in FILES.items() if name not in {"upgrade.py", "report.py"}}
    assert sorted(of_example) == ["main.py", "pyproject.toml", "tests/test_visits.py", "zlmdb_visits/__init__.py"]
    for name, text in of_example.items():
        assert (EXAMPLE / name).read_text() == text, name


def test_the_commands_of_the_page_are_the_ones_that_are_tested() -> None:
    assert SHELL == [
        "python3 -m venv .venv",
        ". .venv/bin/activate",
        'pip install "zlmdb[twisted,plugins,cli] @ file:///path/to/zlmdb"',
        'pip install ".[test]"',
        "zlmdb plugins",
        "zlmdb plugins --check visits",
        "zlmdb plugins --config visits",
        "python main.py",
        "pytest",
    ]


def test_it_is_listed_with_its_distribution_and_without_being_imported(run: Run, project: Path) -> None:
    assert "visits" in run("zlmdb plugins")
    (found,) = [each for each in json.loads(run("zlmdb plugins --json")) if each["name"] == "visits"]
    assert found == {
        "name": "visits",
        "distribution": "zlmdb-visits",
        "version": "0.1",
        "value": "zlmdb_visits:plugin",
        "state": "found",
        "reason": None,
    }


def test_it_keeps_the_contract_and_tells_its_options(run: Run) -> None:
    checked = [each for each in json.loads(run("zlmdb plugins --check visits --json")) if each["name"] == "visits"]
    assert [(each["state"], each["schema_version"]) for each in checked] == [("loaded", 1)]
    lines = [line.split() for line in run("zlmdb plugins --config visits").splitlines()]
    assert ["path", "str", "required"] in lines
    assert ["step", "int", ">=", "1", "1"] in lines


def test_it_runs_and_remembers(run: Run) -> None:
    assert run("python main.py") == "/: 2 /about: 1\n"
    assert run("python main.py") == "/: 4 /about: 2\n"


def test_a_wrong_configuration_is_told_completely(run: Run, project: Path) -> None:
    program = (
        "from twisted.internet.task import Clock\n"
        "from zlmdb.twisted.stores import StoreService\n"
        "try: StoreService({'stores': [{'type': 'visits', 'pth': 'x', 'step': 0}]}, Clock())\n"
        "except ValueError as error: print(*error.problems, sep='\\n')\n"
    )
    (project / "wrong.py").write_text(program)
    assert run("python wrong.py").splitlines() == [
        "stores[0].pth: unknown key, did you mean 'path'?",
        "stores[0].path: missing, expected str",
        "stores[0].step: expected int >= 1, got 0",
    ]


def test_its_own_tests_pass(run: Run) -> None:
    said_under_o = "ignore:assertions not in test modules"  # those of the tests hold all the same: pytest rewrites them
    output = run("pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-W", said_under_o)
    assert re.search(r"\d+ passed", output)
    assert "skipped" not in output


def test_the_second_version_of_the_page_takes_the_data_over_and_shuts_the_first_out(run: Run, project: Path) -> None:
    path = str(project / "to-upgrade")
    run("python main.py", path)
    assert run("python upgrade.py", path) == "['/', '/about']\n"
    assert run("python upgrade.py", path) == "['/', '/about']\n"
    before = Path(path, "data.mdb").read_bytes()
    assert "SchemaTooNew" in run("python main.py", path, status=1)
    assert Path(path, "data.mdb").read_bytes() == before


def test_the_report_of_the_page_uses_the_store_and_survives_its_reload(run: Run, project: Path) -> None:
    path = str(project / "reported")
    run("python main.py", path)
    assert run("python report.py", path) == "['counted', 'report'] 2 visits\n7 visits\n"
