# SPDX-License-Identifier: MIT
"""The example router's configuration: every fault is told at once, and its bounds hold."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from tests.router_bench import PATIENCE, Router, start

pytestmark = pytest.mark.slow

TWO_FAULTS = """{"stores": [
    {"type": "cookiestore", "path": "c", "length": 5},
    {"type": "realmstor", "name": "realmstore"}
]}"""


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("{", "Expecting property name"),
        ('{"stores": [{"type": "cookystore"}]}', "router.cookie-store: expected one of the stores ['cookystore']"),
        (
            TWO_FAULTS,
            "stores[1].type: there is no such plugin; got 'realmstor'",
        ),
        (
            TWO_FAULTS,
            "stores[0].length: expected int >= 6 and <= 64, got 5",
        ),
        ('{"stores": [], "prot": 80}', "router.prot: unknown key, did you mean 'port'?"),
    ],
)
def test_a_faulty_configuration_is_told_and_exits_with_2(tmp_path: Path, config: str, problem: str) -> None:
    (tmp_path / "config.json").write_text(config)
    process = start("--config", str(tmp_path / "config.json"), "--data", str(tmp_path / "data"))
    output, faults = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (2, "")
    assert "configuration: " in faults
    assert problem in faults
    assert "Traceback" not in faults


def test_a_port_that_is_taken_is_told_and_the_stores_are_closed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("--port", str(port), "--data", str(tmp_path))
        output, faults = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert re.search(rf"failed: .*127\.0\.0\.1:{port}", faults)
    assert json.loads(output.removeprefix("stopped "))["stores"] == {"cookiestore": "stopped", "realmstore": "stopped"}


def faults_of(*arguments: str) -> list[str]:
    """Run a router that must not start; return what it says of its configuration."""
    process = start(*arguments)
    output, faults = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (2, ""), faults
    assert "Traceback" not in faults
    return faults.splitlines()


def test_a_misspelt_type_does_not_hide_the_other_faults(tmp_path: Path) -> None:
    config = {
        "stores": [{"type": "cookystore"}, {"type": "realmstore", "path": "e", "durability": "none"}, 5],
        "prot": 80,
        "port": "x",
        "max-body": 0,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    faults = faults_of("--config", str(tmp_path / "config.json"), "--data", str(tmp_path / "data"))
    assert {fault.split(": ")[1] for fault in faults} == {
        "router.prot",
        "router.port",
        "router.max-body",
        "router.cookie-store",
        "stores[0].type",
        "stores[1].durability",
        "stores[2]",
    }
    assert len(faults) == 7
    assert not (tmp_path / "data").exists()


def test_the_directory_of_the_data_must_be_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "below"):
        (fault,) = faults_of("--data", str(place), "--port", "0")
        assert fault.startswith("configuration: --data: expected a directory")
        assert str(place) in fault


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_on_the_command_line_is_configuration_too(tmp_path: Path, port: str) -> None:
    (fault,) = faults_of("--data", str(tmp_path), "--port", port)
    assert fault == f"configuration: router.port: expected int >= 0 and <= 65535, got {port}"


def test_a_subscriber_has_so_many_bytes_waiting_and_only_what_was_sent_counts_as_delivered(tmp_path: Path) -> None:
    router = Router(tmp_path, **{"subscriber-queue-bytes": 100_000})
    try:
        router.login("alice")
        with socket.create_connection(("127.0.0.1", router.port), timeout=PATIENCE) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            request = f"GET /subscribe?topic=big HTTP/1.1\r\nHost: x\r\nCookie: {router.cookie}\r\n\r\n"
            slow.sendall(request.encode())
            assert slow.recv(100)
            for _ in range(500):
                router.publish("big", "x" * 60_000)
                if router.get("/stats")["live"]["dropped"]:
                    break
        statistics = router.get("/stats")
        delivered = statistics["events_published"] - 2  # one waited, and one had no room
        assert statistics["live"] == {"subscribers": 0, "delivered": delivered, "dropped": 1}
        router.stop()
    finally:
        router.process.kill()
        router.process.communicate()
