# SPDX-License-Identifier: MIT
"""The README's programs run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (tmp_path / "accounts.py").write_text(BLOCKS[0])
    (tmp_path / "program.py").write_text(BLOCKS[1])
    (tmp_path / "aio.py").write_text(BLOCKS[2])
    return tmp_path


def run(program: str, directory: Path) -> str:
    command = [sys.executable, program]
    done = subprocess.run(command, cwd=directory, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_program_runs_and_runs_again(programs: Path) -> None:
    first = run("accounts.py", programs)
    assert "name='Alice'" in first
    assert run("accounts.py", programs) == first


def test_the_twisted_program_finds_what_the_first_one_stored(programs: Path) -> None:
    run("accounts.py", programs)
    output = run("program.py", programs)
    assert "name='Bob'" in output
    assert "Alice" in output


def test_the_asyncio_program_finds_what_the_first_one_stored(programs: Path) -> None:
    run("accounts.py", programs)
    output = run("aio.py", programs)
    assert "name='Eve'" in output
    assert "name='Alice'" in output


def test_the_store_configuration_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = BLOCKS[3].replace("service.startService()", "print(sorted(service.states()))")
    (tmp_path / "stores.py").write_text(program)
    assert run("stores.py", tmp_path) == "['cookiestore', 'realmstore']\n"
