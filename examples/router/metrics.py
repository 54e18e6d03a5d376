# SPDX-License-Identifier: MIT
"""What this machine is doing right now, as events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import psutil

_PROCESS: Final = ["name", "status", "num_threads", "memory_info", "cpu_times"]


def sample() -> list[tuple[str, dict[str, Any]]]:
    """Return (topic, kwargs) of everything that is measured; blocks for some ten milliseconds."""
    return [*_machine(), *_processes()]


def _machine() -> Iterator[tuple[str, dict[str, Any]]]:
    times = psutil.cpu_times_percent()
    yield "host.cpu", {"percent": psutil.cpu_percent(percpu=True), "user": times.user, "system": times.system}
    memory = psutil.virtual_memory()
    yield "host.memory", {"total": memory.total, "available": memory.available, "percent": memory.percent}
    disk = psutil.disk_io_counters()
    if disk is not None:  # none in some containers
        yield "host.disk", {"read_bytes": disk.read_bytes, "write_bytes": disk.write_bytes}
    for name, card in psutil.net_io_counters(pernic=True).items():
        topic = f"host.network.{name.replace('.', '-')}"
        yield topic, {"sent": card.bytes_sent, "received": card.bytes_recv, "dropped": card.dropin + card.dropout}


def _processes() -> Iterator[tuple[str, dict[str, Any]]]:
    for process in psutil.process_iter(_PROCESS):
        info = process.info
        memory, cpu = info["memory_info"], info["cpu_times"]
        yield (
            f"host.process.{process.pid}",
            {
                "name": info["name"],
                "status": info["status"],
                "threads": info["num_threads"],
                "resident": memory.rss if memory else None,  # not ours to see, or gone
                "cpu_seconds": round(cpu.user + cpu.system, 2) if cpu else None,
            },
        )
