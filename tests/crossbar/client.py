# SPDX-License-Identifier: MIT
"""A client program: joins, does what the lines of its input ask, answers each with a line, leaves at their end."""

import json
import sys
from typing import Any

from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import JsonSerializer
from autobahn.wamp.types import PublishOptions, RegisterOptions, SubscribeOptions
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.threads import deferToThread

REQUEST: dict[str, Any] = json.loads(sys.argv[1])
OUTPUT = sys.stdout  # what the runner puts in its place writes a log


def say(**answer: Any) -> None:
    print(json.dumps(answer), file=OUTPUT, flush=True)


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


class Session(ApplicationSession):
    """Its methods without an underscore are what can be asked for."""

    def onConnect(self) -> None:
        self.received: list[Any] = []
        self.waiting: dict[int, Deferred[Any]] = {}
        user = REQUEST["user"]
        methods = ["ticket"] if user else ["cookie", "anonymous"]
        self.join(REQUEST["realm"], methods, authid=user, authextra=nested(REQUEST["nesting"]))

    def onChallenge(self, challenge: Any) -> str:
        return "secret"

    def onJoin(self, details: Any) -> None:
        joined = {"session": details.session, "authid": details.authid, "authmethod": details.authmethod}
        say(done={**joined, "authprovider": details.authprovider})
        ensureDeferred(self._obey()).addErrback(lambda failure: failure.printTraceback())

    async def _obey(self) -> None:
        while line := await deferToThread(sys.stdin.readline):
            name, args, options = json.loads(line)
            try:
                say(done=await getattr(self, f"do_{name}")(*args, **options))
            except ApplicationError as error:
                say(failed=f"{error.error}: {error.args}")
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                say(failed=f"{type(error).__name__}: {error}")
        self.leave()

    async def do_publish(self, topic: str, *args: Any, count: int = 1, **options: Any) -> list[int]:
        """Publish ``count`` times, with the number of each as its first argument; return the acknowledged ids."""
        asked = PublishOptions(acknowledge=True, **options)
        sent = [self.publish(topic, number, *args, options=asked) for number in range(count)]
        return [published.id for published in await gatherResults(sent, consumeErrors=True)]

    async def do_subscribe(self, topic: str, match: str = "exact") -> int:
        subscribed = await self.subscribe(self._receive, topic, SubscribeOptions(match=match))
        return int(subscribed.id)

    def _receive(self, *args: Any) -> None:
        self.received.append(list(args))

    async def do_received(self) -> list[Any]:
        return self.received

    async def do_call(self, procedure: str, *args: Any) -> Any:
        return await self.call(procedure, *args)

    async def do_start_calls(self, procedure: str, numbers: list[int]) -> None:
        """Call without waiting for the results."""
        for number in numbers:
            self.call(procedure, number).addErrback(lambda _: None)

    async def do_register(self, procedure: str, concurrency: int) -> None:
        """Register a procedure whose calls end when `do_finish` says so."""
        await self.register(self._work, procedure, RegisterOptions(concurrency=concurrency))

    def _work(self, number: int) -> Deferred[Any]:
        self.received.append(number)
        self.waiting[number] = Deferred()
        return self.waiting[number]

    async def do_finish(self, number: int) -> None:
        self.waiting.pop(number).callback(number)

    def onDisconnect(self) -> None:
        if reactor.running:
            reactor.stop()


# JSON takes more levels than the other serializers do
serializers = [JsonSerializer()] if REQUEST["nesting"] else None
runner = ApplicationRunner(REQUEST["url"], REQUEST["realm"], headers=REQUEST["headers"], serializers=serializers)
runner.run(Session, log_level="critical")
