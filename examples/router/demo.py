# SPDX-License-Identifier: MIT
"""Show that what the router acknowledged outlives it: ``python -m examples.router.demo``.

A router runs with live metrics published to it, is told to stop in the middle of the traffic, and is started
again on the same files. Then the publisher's log of acknowledgements is compared with the history.
The exit status is 0 if all is there, exactly once and unchanged.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.task import deferLater, react

from examples.router.client import Client
from examples.router.comparison import differences
from examples.router.processes import Program

_PATIENCE: Final = 60  # seconds, beyond the time of the traffic, until all must be done


class Failed(Exception):
    """The demonstration showed a fault."""


@dataclass
class Findings:
    """What was found."""

    whoami: str = ""
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    live: int = 0
    statistics: dict[str, Any] = field(default_factory=dict)
    """The router's own, from its first run."""
    problems: list[str] = field(default_factory=list)


class Demonstration:
    """The course of events; all processes it starts have ended when `run` has."""

    def __init__(self, reactor: Any, directory: Path, seconds: float, console: Console) -> None:
        self._reactor = reactor
        self._directory = directory
        self._seconds = seconds
        self._console = console
        self._programs: list[Program] = []
        self._clients: list[Client] = []
        self._first: Deferred[None] = Deferred()  # fires with the first event that is delivered live
        self.findings = Findings()
        reactor.addSystemEventTrigger("before", "shutdown", self._kill)  # for an end before the end

    async def run(self) -> Findings:
        """Return what was found; raises `Failed`, and what else goes wrong."""
        try:
            cookie = await self._traffic()
            await self._afterwards(cookie)
        finally:
            await self._kill()
            for client in self._clients:
                await client.close()
        return self.findings

    async def _traffic(self) -> str:
        """Run a router and a publisher, stop the router, and return the cookie of a user who was logged in."""
        router, client = await self._start_router()
        await client.login("alice")
        stream = await client.subscribe("host.", "prefix", self._received)
        stream.addErrback(lambda _: None)  # the router may well cut it
        log = self._directory / "acknowledged.jsonl"
        publisher = self._start("examples.router.publisher", "--url", client.address, "--log", log, "--interval", 0)
        await self._begun(publisher)
        self._say(f"live metrics of this machine for {self._seconds:g} seconds, to {client.address}")
        await deferLater(self._reactor, self._seconds)
        self._say("SIGTERM to the router, in the middle of the traffic")
        router.signal("TERM")
        await self._end_of(router, "the router")
        await stream
        self.findings.statistics = json.loads(await router.line("stopped "))
        await self._end_of(publisher, "the publisher")
        self.findings.acknowledged = [json.loads(line) for line in log.read_text().splitlines()]
        return client.cookie

    async def _afterwards(self, cookie: str) -> None:
        """Run the router on the same files and look at what is there."""
        self._say("the router again, on the same files")
        router, client = await self._start_router(cookie)
        found = self.findings
        found.whoami = (await client.get("/whoami"))["authid"]
        found.history = [event async for event in client.history()]
        router.signal("TERM")
        await self._end_of(router, "the router")
        if found.whoami != "alice":
            found.problems.append(f"the cookie of alice is one of {found.whoami}")
        if not found.acknowledged:
            found.problems.append("nothing was acknowledged")
        if not found.live:
            found.problems.append("nothing was delivered live")
        found.problems += differences(found.acknowledged, found.history)

    # --- parts

    def _kill(self) -> Deferred[list[int]]:
        running = [program for program in self._programs if program.running]
        for program in running:
            program.signal("KILL")
        return gatherResults([program.ended() for program in running])

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]…[/dim] {text}")

    def _received(self, _event: dict[str, Any]) -> None:
        self.findings.live += 1
        if not self._first.called:
            self._first.callback(None)

    async def _begun(self, publisher: Program) -> None:
        """Wait for the first event: on a busy machine a process may take seconds to start."""
        await DeferredList([self._first, publisher.ended()], fireOnOneCallback=True)
        if not publisher.running:
            await self._end_of(publisher, "the publisher")

    def _start(self, module: str, *arguments: object) -> Program:
        program = Program(self._reactor, module, *arguments)
        self._programs.append(program)
        return program

    async def _start_router(self, cookie: str = "") -> tuple[Program, Client]:
        router = self._start("examples.router", "--data", self._directory / "data", "--port", 0)
        client = Client(self._reactor, await router.line("ready "), cookie)
        self._clients.append(client)
        return router, client

    async def _end_of(self, program: Program, name: str) -> None:
        status = await program.ended()
        if status != 0:
            raise Failed(f"{name} ended with {status}: {program.errors.strip()[-1000:]}")


def table(found: Findings) -> Table:
    """Return the findings for reading."""
    statistics = found.statistics
    write, loop = statistics["write_latency"], statistics["loop_lateness"]
    acknowledged = {event["publication"] for event in found.acknowledged}
    there = sum(event["publication"] in acknowledged for event in found.history)
    rows = Table(title="After SIGTERM in the middle of the traffic, and a restart", show_header=False)
    rows.add_row("still logged in, by the old cookie", found.whoami)
    rows.add_row("events acknowledged", f"{len(found.acknowledged):,}")
    rows.add_row("of these in the history", f"{there:,}")
    rows.add_row("missing, doubled or altered", f"{len(found.problems):,}")
    rows.add_row("live deliveries to one subscriber", f"{found.live:,}")
    rows.add_row("throughput, each event on disk before its answer", f"{_rate(statistics):,.0f} events/s")
    rows.add_row("latency of an awaited write, p50 / p99", f"{write['p50_ms']:.1f} / {write['p99_ms']:.1f} ms")
    rows.add_row("lateness of the event loop, p99 / max", f"{loop['p99_ms']:.1f} / {loop['max_ms']:.1f} ms")
    return rows


def _rate(statistics: dict[str, Any]) -> float:
    return float(statistics["events_published"] / statistics["uptime_s"])


async def main(reactor: Any) -> None:
    """Run the demonstration, show the table, and exit."""
    parser = argparse.ArgumentParser(prog="python -m examples.router.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the traffic lasts")
    seconds = parser.parse_args().seconds
    console = Console(width=None if sys.stdout.isatty() else 100)
    with TemporaryDirectory(prefix="router-demo-") as directory:
        demonstration = Demonstration(reactor, Path(directory), seconds, console)
        running = Deferred.fromCoroutine(demonstration.run())
        try:
            found = await running.addTimeout(seconds + _PATIENCE, reactor)
        except Exception as exc:
            console.print(f"[red]failed[/red]: {type(exc).__name__}: {exc}")
            raise SystemExit(1) from exc
    console.print(table(found))
    for problem in found.problems[:20]:
        console.print(f"[red]fault[/red]: {problem}")
    if found.problems:
        raise SystemExit(1)
    console.print("[green]nothing that was acknowledged is lost[/green]")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
