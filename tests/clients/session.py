# SPDX-License-Identifier: MIT
"""A client program: joins, does what it is asked, says so on standard output, and leaves when its input ends."""

import json
import sys
from typing import Any

from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.types import PublishOptions, SubscribeOptions
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread

REQUEST: dict[str, Any] = json.loads(sys.argv[1])
OUTPUT = sys.stdout  # what the runner puts in its place writes a log


class Session(ApplicationSession):
    """Publishes with acknowledgement, and waits until it has received all it published."""

    def onConnect(self) -> None:
        self.join(self.config.realm, REQUEST.get("authmethods"))

    def onJoin(self, details: Any) -> None:
        ensureDeferred(self.work(details)).addErrback(self.failed)

    async def work(self, details: Any) -> None:
        received: list[Any] = []
        all_received: Deferred[None] = Deferred()

        def receive(*args: Any, **kwargs: Any) -> None:
            received.append([list(args), kwargs])
            if len(received) == len(REQUEST["publish"]):
                all_received.callback(None)

        for topic, match in REQUEST.get("subscribe", []):
            await self.subscribe(receive, topic, SubscribeOptions(match=match))
        published = [await self.publish_one(*one) for one in REQUEST.get("publish", [])]
        if published:
            await all_received
        called = [await self.call(*one) for one in REQUEST.get("call", [])]
        did = {"session": details.session, "authid": details.authid, "authmethod": details.authmethod}
        print(
            json.dumps({**did, "published": published, "received": received, "called": called}), file=OUTPUT, flush=True
        )
        await deferToThread(sys.stdin.read)
        self.leave()

    async def publish_one(self, topic: str, args: list[Any], kwargs: dict[str, Any]) -> int:
        options = PublishOptions(acknowledge=True, exclude_me=False)
        publication = await self.publish(topic, *args, **kwargs, options=options)
        return int(publication.id)

    def failed(self, failure: Any) -> None:
        failure.printTraceback()
        print(json.dumps({"failed": str(failure.value)}), file=OUTPUT, flush=True)
        self.leave()

    def onDisconnect(self) -> None:
        reactor.stop()


ApplicationRunner(REQUEST["url"], "realm1", headers=REQUEST.get("headers")).run(Session, log_level="critical")
