# SPDX-License-Identifier: MIT
"""The published router with its own stores, and client sessions, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.crossbar import node
from tests.crossbar.node import ENVIRONMENT, PATIENCE, THEIRS, until

__all__ = ["CROSSBAR", "Client", "Node", "until"]

HERE = Path(__file__).parent
CROSSBAR = THEIRS[0]
HISTORY = [{"uri": "com.example.exact", "match": "exact"}, {"uri": "com.example.all", "match": "prefix"}]


class Node(node.Node):
    """``with Node(folder) as node``: runs from its ready output until SIGTERM; ``output`` is all it said."""

    def __init__(self, folder: Path) -> None:
        self.realm, self.cookies = folder / "realm", folder / "cookies"
        store = {"path": str(self.realm), "maxsize": 2**26, "sync": True, "buffer-flush": 20}
        cookies = {"path": str(self.cookies), "maxsize": 2**25, "sync": True}
        super().__init__(folder, {**store, "event-history": HISTORY}, command=THEIRS, cookies=cookies)


class Client:
    """``with Client(node.url, …) as client``: a session that has done its work (``did``) and has not left yet."""

    def __init__(self, url: str, **request: Any) -> None:
        self._request = json.dumps({"url": url, **request})

    def __enter__(self) -> Self:
        command = [sys.executable, str(HERE / "session.py"), self._request]
        self._process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            self.did: dict[str, Any] = json.loads(line)
            assert "failed" not in self.did, line
        except BaseException:
            self._process.kill()
            self._process.communicate(timeout=PATIENCE)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=PATIENCE)  # the end of its input tells it to leave
        assert self._process.returncode == 0
