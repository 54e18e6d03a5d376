# SPDX-License-Identifier: MIT
"""The fixtures that `zlmdb.testing` offers to other programs' tests, in a test-suite of such a program."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faces import FACES

SUITE = """
import asyncio, pytest, zlmdb

@pytest.mark.parametrize(("name", "face"), [("asyncio_database", "zlmdb.aio"), ("twisted_database", "zlmdb.twisted")])
def test_records_are_there_when_it_is_opened_again(request, name, face):
    run = request.getfixturevalue(name)

    async def write(db):
        await db.map(zlmdb.MapStringCbor(7)).put("a", 1)
        return type(db).__module__

    async def read(db):
        return await db.map(zlmdb.MapStringCbor(7)).get("a"), db.database.is_readonly

    assert run(write).startswith(face)
    assert run(read, readonly=True) == (1, True)

@pytest.mark.parametrize("name", ["asyncio_database", "twisted_database"])
def test_errors_come_out(request, name):
    async def fail(db):
        raise LookupError("of the test")

    with pytest.raises(LookupError, match="of the test"):
        request.getfixturevalue(name)(fail)

@pytest.mark.parametrize("name", ["asyncio_database", "twisted_database"])
def test_what_nobody_handles_fails_this_test(request, name):
    async def forget(db):
        db.map(zlmdb.MapStringCbor(7)).put(5, 5)

    request.getfixturevalue(name)(forget)
"""


def test_the_fixtures_serve_another_programs_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["zlmdb.testing.fixtures"]\n')
    (tmp_path / "test_program.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=120)
    assert "4 passed" in done.stdout, done.stdout
    assert "2 failed" in done.stdout, done.stdout
    assert done.stdout.count("errors that nobody handled") >= 2


def test_the_doubles_need_no_pytest_and_no_loop() -> None:
    code = "import sys, zlmdb.testing; print([m for m in ('pytest', 'twisted', 'asyncio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("face", FACES)
def test_loops_leave_no_file_open(face: str, tmp_path: Path) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put("a", 1)

    def used() -> int:
        FACES[face].using(tmp_path / "db", test)
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = used()
    assert [used() for _ in range(3)] == [before] * 3
