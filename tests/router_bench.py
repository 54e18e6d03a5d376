# SPDX-License-Identifier: MIT
"""The example router as a process of its own, and a client of it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parent.parent
PATIENCE = 30  # seconds; only a router that hangs gets there


class Router:
    """A running router and a client of it."""

    def __init__(self, data: Path, **config: Any) -> None:
        stores = json.loads((ROOT / "examples/router/config.json").read_text())["stores"]
        data.mkdir(exist_ok=True)
        self.data = data
        (data / "config.json").write_text(json.dumps({"stores": stores, "port": 0, **config}))
        self.process = start("--config", str(data / "config.json"), "--data", str(data))
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready.startswith("ready http://127.0.0.1:"), self.process.communicate()[1]
        self.port = int(ready.rsplit(":", 1)[1])
        self.cookie = ""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(
        self, method: str, path: str, body: Any = None, *, cookie: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of the answer; a cookie that it sets is kept."""
        connection = self.connect()
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request(method, path, data, {"Cookie": self.cookie if cookie is None else cookie, **headers})
        response = connection.getresponse()
        if set_cookie := response.getheader("Set-Cookie"):
            self.cookie = set_cookie.partition(";")[0]
        assert response.getheader("Content-Type") == "application/json"
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    def get(self, path: str, **query: object) -> dict[str, Any]:
        status, answer = self.ask("GET", f"{path}?{urlencode(query)}")
        assert status == 200, answer
        return answer

    def login(self, authid: str) -> None:
        assert self.ask("POST", "/login", {"authid": authid}) == (200, {"authid": authid})

    def publish(self, topic: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        status, answer = self.ask("POST", "/publish", {"topic": topic, "args": args, "kwargs": kwargs})
        assert status == 200, answer
        return answer

    def stop(self) -> dict[str, Any]:
        """End the router by SIGTERM and return its final statistics."""
        self.process.send_signal(signal.SIGTERM)
        output, logged = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, logged
        assert "Traceback" not in logged
        statistics: dict[str, Any] = json.loads((self.data / "statistics.json").read_text())
        assert json.loads(output.removeprefix("stopped ")) == statistics
        return statistics


def start(*arguments: str, module: str = "examples.router") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
