# SPDX-License-Identifier: MIT
"""The routes: the page, login and logout, publish, subscribe, history, statistics."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site
from werkzeug.exceptions import HTTPException

from examples.router import page, parameters
from examples.router.live import Hub
from examples.router.measure import Durations
from examples.router.parameters import LimitedRequest, Refused
from zlmdb_cookiestore import Cookie, CookieStore
from zlmdb_realmstore import Publisher, RealmStore

_LONGEST_PAGE = 1000  # events
_LARGEST_PAGE = 256 * 1024  # bytes, but for its last event: more would hold the loop for long


class Web:
    """The HTTP face of the router; call it on the reactor's thread."""

    app = Klein()
    _log = Logger()

    def __init__(
        self, cookies: CookieStore, realm: RealmStore, hub: Hub, statistics: Callable[[], dict[str, Any]]
    ) -> None:
        self.cookies = cookies
        self.realm = realm
        self.hub = hub
        self.published = 0
        self.refused = 0
        self.write_latency = Durations()
        self._statistics = statistics
        self._in_flight = 0
        self._closing: Deferred[None] | None = None

    def site(self, max_body: int) -> Site:
        """Return what a port listens with."""
        request = type("Request", (LimitedRequest,), {"max_body": max_body})
        return Site(self.app.resource(), request, timeout=60)  # type: ignore[no-untyped-call]

    def close(self) -> Deferred[None]:
        """Take no more events; fires when those that were taken are answered."""
        closing: Deferred[None] = Deferred()
        self._closing = closing
        self._done(0)
        return closing

    # --- the page

    @app.route("/", methods=["GET"])
    def index(self, request: Any) -> bytes:
        """Send the page."""
        return page.content(request, "index.html")

    @app.route("/page.js", methods=["GET"])
    def script(self, request: Any) -> bytes:
        """Send its script."""
        return page.content(request, "page.js")

    @app.route("/page.css", methods=["GET"])
    def style(self, request: Any) -> bytes:
        """Send its style sheet."""
        return page.content(request, "page.css")

    # --- who it is

    @app.route("/login", methods=["POST"])
    async def login(self, request: Any) -> str:
        """Hand out a new cookie that authenticates the authid of the request."""
        authid = parameters.authid_of(request)
        issued = await self.cookies.sign_in(
            self._value(request), authid, authrole="user", authmethod="anonymous", authextra={}
        )
        request.responseHeaders.addRawHeader("Set-Cookie", issued.header)
        return _json(request, {"authid": authid})

    @app.route("/logout", methods=["POST"])
    async def logout(self, request: Any) -> str:
        """Revoke the cookie of the request."""
        value = self._value(request)
        revoked = value is not None and await self.cookies.revoke(value)
        request.responseHeaders.addRawHeader("Set-Cookie", self.cookies.forget_header())
        return _json(request, {"logged_out": revoked})

    @app.route("/whoami", methods=["GET"])
    def whoami(self, request: Any) -> str:
        """Tell whom the cookie of the request authenticates."""
        cookie = self._authenticated(request)
        return _json(request, {"authid": cookie.authid, "authrole": cookie.authrole, "since_ns": cookie.authenticated})

    def _value(self, request: Any) -> str | None:
        # bytes, since as text the header would have to be UTF-8, which anybody can send otherwise
        return self.cookies.parse((request.getHeader(b"cookie") or b"").decode("latin-1"))

    def _authenticated(self, request: Any) -> Cookie:
        value = self._value(request)
        cookie = None if value is None else self.cookies.lookup(value)
        if cookie is None or cookie.authid is None:
            raise Refused(401, "no valid cookie: POST /login first")
        return cookie

    # --- events

    @app.route("/publish", methods=["POST"])
    async def publish(self, request: Any) -> str:
        """Store an event, then answer and deliver it."""
        cookie = self._authenticated(request)
        publisher = Publisher(authid=cookie.authid, authrole=cookie.authrole)
        topic, args, kwargs = parameters.publication_of(parameters.json_body(request))
        if self._closing:
            raise Refused(503, "the router is shutting down")
        self._in_flight += 1
        try:
            return _json(request, await self._stored(topic, args, kwargs, publisher))
        finally:
            self._done(1)

    async def _stored(
        self, topic: str, args: list[Any], kwargs: dict[str, Any], publisher: Publisher
    ) -> dict[str, Any]:
        began = time.perf_counter()
        stored = await self.realm.publish(topic, args, kwargs, publisher=publisher)
        self.write_latency.add(time.perf_counter() - began)
        self.published += 1
        event = {"publication": stored.publication, "time_ns": stored.time_ns}
        told = {**event, "topic": topic, "args": args, "kwargs": kwargs, "authid": publisher.authid}
        self.hub.deliver(topic, stored.publication, json.dumps(told, allow_nan=False))
        return event

    def _done(self, number: int) -> None:
        self._in_flight -= number
        if self._closing and not self._in_flight and not self._closing.called:
            self._closing.callback(None)

    @app.route("/subscribe", methods=["GET"])
    def subscribe(self, request: Any) -> Deferred[None]:
        """Stream events as server-sent events until the client leaves."""
        self._authenticated(request)
        topic, match = parameters.pattern_of(request)
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        never: Deferred[None] = Deferred(lambda _: None)  # the hub ends the response
        self.hub.subscribe(request, topic, match)
        return never

    @app.route("/history", methods=["GET"])
    async def history(self, request: Any) -> str:
        """Return a page of stored events, and the token of the next page."""
        self._authenticated(request)
        topic, match = parameters.pattern_of(request)
        found = await self.realm.events(
            topic=topic or None,
            match=match,
            limit=parameters.number(request, "limit", 100, _LONGEST_PAGE),
            after=parameters.parameter(request, "after", "") or None,
            max_bytes=_LARGEST_PAGE,
            reverse=parameters.newest_first(request),
        )
        names = ("publication", "topic", "time_ns", "args", "kwargs", "publisher_authid")
        events = [{name: getattr(event, name) for name in names} for event in found.events]
        return _json(request, {"events": events, "token": found.token})

    @app.route("/stats", methods=["GET"])
    def stats(self, request: Any) -> str:
        """Return the statistics."""
        return _json(request, self._statistics())

    # --- errors

    @app.handle_errors(Exception)
    def failed(self, request: Any, failure: Failure) -> str:
        """Answer with the error as JSON; what is nobody's fault but ours is logged."""
        error = failure.value
        message = str(error)
        if isinstance(error, Refused):
            status = error.status
        elif isinstance(error, HTTPException):
            status, message = error.code or 500, error.name
        else:
            status = parameters.status_of(error)
        if status == 500:
            self._log.failure("{method} {path} failed", failure=failure, method=request.method, path=request.path)
            message = "internal error"
        self.refused += 1
        request.setResponseCode(status)
        return _json(request, {"error": message})


def _json(request: Any, value: object) -> str:
    request.setHeader("Content-Type", "application/json")
    return json.dumps(value, allow_nan=False) + "\n"
