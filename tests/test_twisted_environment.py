# SPDX-License-Identifier: MIT
"""What only Twisted has: Deferreds that are yielded, and a reactor that stops. See also test_aio_environment.py."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

import zlmdb.twisted
from zlmdb.testing.loops import run_reactor


def test_an_environment_is_used_in_inline_callbacks(tmp_path: Path) -> None:
    @inlineCallbacks
    def use(reactor: Any) -> Generator[Deferred[Any], Any, Any]:
        env = yield zlmdb.twisted.open(tmp_path / "env", reactor=reactor)
        users = env.open_db("users", zlmdb.twisted.StringCoder(), zlmdb.twisted.JSONCoder())
        yield users.put("a", {"name": "Alice"})
        batch = env.batch()
        batch.replace(users, "a", {"name": "Bob"})
        former = yield batch.submit()
        found = yield users.select()
        yield env.close()
        return former, found

    async def main(reactor: Any) -> Any:
        return await use(reactor)

    assert run_reactor(main) == ([{"name": "Alice"}], [("a", {"name": "Bob"})])


def test_stopping_the_reactor_writes_and_closes(tmp_path: Path) -> None:
    async def main(reactor: Any) -> Any:
        env = await zlmdb.twisted.open(tmp_path / "env", reactor=reactor)
        env.open_db("users").put_multi([(b"%d" % number, b"x") for number in range(1000)])
        return env

    async def again(reactor: Any) -> Any:
        async with zlmdb.twisted.open(tmp_path / "env", reactor=reactor) as env:
            return await env.open_db("users").stat()

    env = run_reactor(main)
    assert not env._access.handle.is_open
    assert run_reactor(again)["entries"] == 1000
