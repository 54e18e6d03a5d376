# SPDX-License-Identifier: MIT
"""Publish what this machine is doing: ``python -m examples.router.publisher --url http://127.0.0.1:8080``.

What the router acknowledged is written to a log of its own, one JSON object a line: publication, topic,
kwargs. It ends when the router goes away, after ``--seconds``, or at Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final, TextIO

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread
from twisted.web import client as web

from examples.router.client import Answered, Client
from examples.router.metrics import sample

GONE: Final = (
    ConnectError,
    ConnectionClosed,
    web.RequestNotSent,  # type: ignore[attr-defined]  # not listed there
    web.RequestTransmissionFailed,
    web.ResponseFailed,
    web.ResponseNeverReceived,
)
"""What tells that the router is not there any more."""
_LOG: Final = Path(__file__).parents[2] / "build" / "acknowledged.jsonl"
_PAUSE: Final = 0.05  # seconds before sending on to a router that takes nothing


class Publisher:
    """Sends samples with several requests in flight, and logs what was acknowledged. Reactor thread only."""

    def __init__(self, reactor: Any, client: Client, log: TextIO, interval: float) -> None:
        self._reactor = reactor
        self._client = client
        self._log = log
        self._interval = interval
        self._ended = False
        self._sequence = 0
        self.acknowledged = 0
        self.refused = 0

    async def run(self, in_flight: int) -> None:
        """Publish until `end` is called or the router is gone."""
        room = DeferredSemaphore(in_flight)
        coming = deferToThread(sample)
        while not self._ended:
            events = await coming
            coming = deferToThread(sample)  # measured while the last ones are being sent
            await gatherResults([room.run(self._send, *event) for event in events], consumeErrors=True)
            await deferLater(self._reactor, self._interval)
        await coming

    def end(self) -> None:
        """Send no more; what is in flight is waited for."""
        self._ended = True

    def _send(self, topic: str, kwargs: dict[str, Any]) -> Deferred[None]:
        self._sequence += 1
        return Deferred.fromCoroutine(self._publish({"topic": topic, "kwargs": {**kwargs, "sequence": self._sequence}}))

    async def _publish(self, event: dict[str, Any]) -> None:
        if self._ended:
            return
        try:
            answer = await self._client.post("/publish", event)
        except GONE:
            self.end()
        except Answered as answered:
            if answered.status != 503:
                raise
            self.refused += 1
            await deferLater(self._reactor, _PAUSE)
        else:
            self.acknowledged += 1
            line = {"publication": answer["publication"], **event}
            print(json.dumps(line, allow_nan=False), file=self._log)


async def main(reactor: Any) -> None:
    """Publish, and print a summary at the end."""
    options = _options()
    client = Client(reactor, options.url, connections=options.in_flight)
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with options.log.open("a", buffering=1) as log:
        publisher = Publisher(reactor, client, log, options.interval)
        if options.seconds is not None:
            reactor.callLater(options.seconds, publisher.end)
        reactor.addSystemEventTrigger("before", "shutdown", publisher.end)
        try:
            await client.login(options.authid)
        except GONE as gone:
            raise SystemExit(f"no router answers at {options.url}: {gone}") from gone
        await publisher.run(options.in_flight)
    summary = {"acknowledged": publisher.acknowledged, "refused": publisher.refused}
    print(json.dumps(summary, allow_nan=False), flush=True)
    await client.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.router.publisher", description="Publish live metrics.")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where the router is")
    parser.add_argument("--authid", default="host", help="whom to log in as")
    parser.add_argument("--log", type=Path, default=_LOG, help="what was acknowledged")
    parser.add_argument("--in-flight", type=int, default=16, help="requests sent before the first is answered")
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between two rounds of samples")
    parser.add_argument("--seconds", type=float, help="end after this time")
    return parser.parse_args()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
