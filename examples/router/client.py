# SPDX-License-Identifier: MIT
"""A client of the router's HTTP interface, with treq."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import treq
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.web.client import Agent, HTTPConnectionPool


class Answered(Exception):
    """The router answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """One user of the router; connections are kept alive, ``connections`` of them. Reactor thread only."""

    def __init__(self, reactor: Any, address: str, cookie: str = "", connections: int = 4) -> None:
        self.address = address
        self.cookie = cookie
        """The ``name=value`` that identifies the user."""
        self._pool: Any = HTTPConnectionPool(reactor)  # type: ignore[no-untyped-call]
        self._pool.maxPersistentPerHost = connections
        agent: Any = Agent(reactor, pool=self._pool, connectTimeout=10)  # type: ignore[no-untyped-call]
        self._http: Any = HTTPClient(agent)

    async def login(self, authid: str) -> None:
        """Get a cookie that authenticates ``authid``."""
        response = await self._request("POST", "/login", {"authid": authid})
        await _content(response)
        self.cookie = response.headers.getRawHeaders("Set-Cookie")[0].partition(";")[0]

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the answer to a JSON body; raises `Answered`, and what the connection raises."""
        return await _content(await self._request("POST", path, body))

    async def get(self, path: str, **query: object) -> Any:
        """Return the answer to a query, in which None leaves a parameter out."""
        given = {name: value for name, value in query.items() if value is not None}
        return await _content(await self._request("GET", f"{path}?{urlencode(given)}"))

    async def history(self, limit: int = 1000, **query: object) -> AsyncIterator[dict[str, Any]]:
        """Iterate over all stored events that match, page after page."""
        token = None
        while True:
            page = await self.get("/history", limit=limit, after=token, **query)
            for event in page["events"]:
                yield event
            token = page["token"]
            if token is None:
                return

    async def subscribe(self, topic: str, match: str, on_event: Callable[[dict[str, Any]], object]) -> Deferred[Any]:
        """Call ``on_event`` with each event from now on; what is returned fires when the stream ends."""
        response = await self._request("GET", f"/subscribe?{urlencode({'topic': topic, 'match': match})}")
        if response.code != 200:
            await _content(response)
        rest = b""

        def received(data: bytes) -> None:
            nonlocal rest
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: "):
                    on_event(json.loads(line[6:]))

        ended: Deferred[Any] = treq.collect(response, received)
        return ended

    def close(self) -> Deferred[Any]:
        """Close the connections."""
        closed: Deferred[Any] = self._pool.closeCachedConnections()
        return closed

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Deferred[Any]:
        headers = {"Cookie": self.cookie} if self.cookie else {}
        options = {} if body is None else {"json": body}
        sent: Deferred[Any] = self._http.request(method, self.address + path, headers=headers, **options)
        return sent


async def _content(response: Any) -> Any:
    body = json.loads(await treq.content(response))
    if response.code != 200:
        raise Answered(response.code, body.get("error", ""))
    return body
