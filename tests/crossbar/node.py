# SPDX-License-Identifier: MIT
"""A Crossbar node with our stores, or with its own, and client sessions, each in a process of its own."""

import json
import os
import queue
import re
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
OURS = [str(Path(sys.executable).with_name("zlmdb-crossbar"))]
THEIRS = [str(Path(sys.executable).with_name("crossbar"))]
READY = "NODE_BOOT_COMPLETE"
PATIENCE = 120.0  # seconds for anything that a node or a client does
NEVER = 3_600_000  # milliseconds; no test lives to see it
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}
_PID = re.compile(r"Running as PID (\d+)")


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


def realm(name: str, store: dict[str, Any]) -> dict[str, Any]:
    everything = {"call": True, "register": True, "publish": True, "subscribe": True}
    permission = {"uri": "", "match": "prefix", "allow": everything, "disclose": {"publisher": True, "caller": True}}
    role = {"permissions": [permission]}
    roles = [{"name": name, **role} for name in ("anonymous", "user")]
    return {"name": name, "roles": roles, "store": {"type": "cfxdb", **store}}


def configuration(port: int, realms: list[dict[str, Any]], cookies: dict[str, Any]) -> dict[str, Any]:
    """A node with one router; the paths of its stores are relative to the node's directory, as the router has them."""
    principals = {name: {"ticket": "secret", "role": "user"} for name in ("alice", "bob")}
    store = {"type": "database", "path": "cookies", **cookies}
    transport = {
        "type": "websocket",
        "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"},
        "cookie": {"name": "cbtid", "length": 24, "max_age": 86400, "store": store},
        "auth": {
            "anonymous": {"type": "static", "role": "anonymous"},
            "ticket": {"type": "static", "principals": principals},
            "cookie": {},
        },
    }
    return {"version": 2, "workers": [{"type": "router", "realms": realms, "transports": [transport]}]}


class Node:
    """``with Node(folder, store) as node``: runs from its ``ready`` output until SIGTERM; ``output`` is all it said.

    ``store`` and ``cookies`` are the configurations of the stores, of ``realm1`` and its cookies; ``realms`` are more.
    """

    def __init__(
        self,
        folder: Path,
        store: dict[str, Any],
        *realms: dict[str, Any],
        command: list[str] | None = None,
        cookies: dict[str, Any] | None = None,
        kind: str = "edge",
        ready: str = READY,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self.output: list[str] = []
        self._ready = ready
        self._is_over = False
        self._command = [*(command or OURS), kind]
        realms = (realm("realm1", {"path": "realm", **store}), *realms)
        self._configuration = configuration(self.port, [*realms], cookies or {})
        self._lines: queue.Queue[str | None] = queue.Queue()

    @property
    def said(self) -> str:
        return "".join(self.output)

    def arguments(self, what: str) -> list[str]:
        """Write the configuration and return the command line; ``what`` is check or start."""
        node_folder = self.folder / ".crossbar"
        node_folder.mkdir(exist_ok=True)
        (node_folder / "config.json").write_text(json.dumps(self._configuration))
        return [*self._command, what, "--cbdir", str(node_folder)]

    def check(self) -> subprocess.CompletedProcess[str]:
        command = self.arguments("check")
        return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=PATIENCE)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*self.arguments("start"), "--color", "false"],
            cwd=self.folder,
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.wait_for(self._ready)
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

    def wait_for(self, text: str) -> None:
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line is not None, "the node ended:\n" + "".join(self.output[-60:])
            if text in line:
                return

    def kill(self) -> None:
        """Kill the node's processes, as a power cut would: none of them can do anything any more."""
        pids = {int(pid) for pid in _PID.findall(self.said)} | {self._process.pid}
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # or the router sees that its controller is gone, and flushes
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self._ended()

    def kill_controller(self) -> None:
        """Kill the node's first process, and wait until the others have ended, which notice it."""
        self._process.kill()
        self._ended()  # of their output, which they have in common

    def stop(self) -> None:
        """End the node as a service manager does; its worker ends with it."""
        self._process.send_signal(signal.SIGTERM)
        self._ended()

    def _ended(self) -> None:
        self._is_over = True
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
        if not self._is_over:
            self.stop()


class Client:
    """``with Client(node) as client``: a session of its own process that does one thing after the other.

    ``nesting`` is the number of levels of the ``authextra`` that it sends. ``joined`` tells what it joined as;
    ``client.publish(…)`` and so on return what `client.py` answers.
    """

    def __init__(
        self,
        node: Node,
        user: str | None = None,
        cookie: str | None = None,
        realm: str = "realm1",
        nesting: int = 0,
    ) -> None:
        headers = {"Cookie": f"cbtid={cookie}"} if cookie else {}
        request = {"url": node.url, "user": user, "headers": headers, "realm": realm, "nesting": nesting}
        self._request = json.dumps(request)

    def __enter__(self) -> Self:
        command = [sys.executable, str(HERE / "client.py"), self._request]
        self._process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.joined = self._answer()
        except BaseException:
            self._end()
            raise
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def ask(*args: Any, **options: Any) -> Any:
            self.begin(name, *args, **options)
            return self._answer()

        return ask

    def begin(self, name: str, *args: Any, **options: Any) -> None:
        """Ask for something without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, args, options]) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the client ended"
        answer = json.loads(line)
        assert "failed" not in answer, answer["failed"]
        return answer["done"]

    def history(self, topic: str, match: str = "exact", limit: int = 10_000) -> list[dict[str, Any]]:
        """The events of a subscription, newest first, as the router gives them."""
        return list(self.call("wamp.subscription.get_events", self.subscription(topic, match), limit))

    def subscription(self, topic: str, match: str = "exact") -> int:
        """The id of a subscription that the store holds, whether there is a subscriber or not."""
        return int(self.call("wamp.subscription.lookup", topic, {"match": match}))

    def _end(self) -> None:
        self._process.communicate(timeout=PATIENCE)  # the end of its input tells it to leave

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
