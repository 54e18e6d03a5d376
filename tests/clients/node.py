# SPDX-License-Identifier: MIT
"""A Crossbar node with a cookie store and a realm store, and client sessions, each in a process of its own."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
CROSSBAR = Path(sys.executable).with_name("crossbar")
READY = "NODE_BOOT_COMPLETE"
PATIENCE = 120.0  # seconds for anything that a node or a client does
_QUIET = {**os.environ, "PYTHONUNBUFFERED": "1"}


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until another process has brought about what ``condition`` looks for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, port: int) -> dict[str, Any]:
    everything = {"call": True, "register": True, "publish": True, "subscribe": True}
    permission = {"uri": "", "match": "prefix", "allow": everything, "cache": True}
    history = [{"uri": "com.example.exact", "match": "exact"}, {"uri": "com.example.all", "match": "prefix"}]
    realm_store = {"type": "cfxdb", "path": str(folder / "realm"), "maxsize": 2**26, "sync": True, "buffer-flush": 20}
    cookie_store = {"type": "database", "path": str(folder / "cookies"), "maxsize": 2**25, "sync": True}
    realm = {
        "name": "realm1",
        "roles": [{"name": "anonymous", "permissions": [permission]}],
        "store": {**realm_store, "event-history": history},
    }
    transport = {
        "type": "websocket",
        "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"},
        "cookie": {"name": "cbtid", "length": 24, "max_age": 86400, "store": cookie_store},
        "auth": {"anonymous": {"type": "static", "role": "anonymous"}, "cookie": {}},
    }
    return {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [transport]}]}


class Node:
    """``with Node(folder) as node``: runs from its ready output until SIGTERM; ``output`` is all it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.realm, self.cookies = folder / "realm", folder / "cookies"
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self.output: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Self:
        node_folder = self.folder / ".crossbar"
        node_folder.mkdir(exist_ok=True)
        (node_folder / "config.json").write_text(json.dumps(configuration(self.folder, self.port)))
        command = [str(CROSSBAR), "edge", "start", "--cbdir", str(node_folder), "--color", "false"]
        self._process = subprocess.Popen(
            command, cwd=self.folder, env=_QUIET, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self._wait_for(READY)
        except BaseException:
            self.stop()
            raise
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def _wait_for(self, text: str) -> None:
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line is not None, "the node ended:\n" + "".join(self.output[-40:])
            if text in line:
                return

    def stop(self) -> None:
        """End the node as a service manager does; its worker ends with it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()  # no more than a word to a process that has ended
            self._reader.join(PATIENCE)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Client:
    """``with Client(node.url, …) as client``: a session that has done its work (``did``) and has not left yet."""

    def __init__(self, url: str, **request: Any) -> None:
        self._request = json.dumps({"url": url, **request})

    def __enter__(self) -> Self:
        command = [sys.executable, str(HERE / "session.py"), self._request]
        self._process = subprocess.Popen(
            command, env=_QUIET, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
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
