# SPDX-License-Identifier: MIT
"""`RangeProducer`: a range of a map as a stream of bytes, at the pace of the one who takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from zlmdb.errors import ConfigError
from zlmdb.orm import Page
from zlmdb.orm.reading import Part
from zlmdb.twisted._map import AsyncMap
from zlmdb.workers.limits import check_positive

K = TypeVar("K")
V = TypeVar("V")


@implementer(IPullProducer)
class RangeProducer(Generic[K, V]):
    """Writes the records of a range (as for `AsyncMap.select`) to a consumer, such as a transport.

    A page of ``page_size`` records is read and written whenever the consumer wants more; between pages nothing
    is held but a token, so a slow consumer neither fills the memory nor keeps old pages of the file in use. Each
    page sees what is committed by then: see `AsyncMap.iterate`. ``encode(key, value)`` returns the bytes of a
    record; like everything here it is called on the reactor's thread.

    Raises `ConfigError` for a ``page_size`` that is not a positive integer.
    """

    def __init__(
        self,
        amap: AsyncMap[K, V],
        encode: Callable[[K, V], bytes],
        consumer: Any,  # an IConsumer; zope's interfaces are no types
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        page_size: int = 100,
    ) -> None:
        check_positive("page_size", page_size)
        self._map = amap
        self._encode = encode
        self._consumer = consumer
        self._bounds = (from_key, to_key)
        self._query = {"prefix": prefix, "reverse": reverse, "limit": page_size}
        self._token: str | None = None
        self._written = 0
        self._reading: Deferred[None] | None = None
        self._registered = False
        self._finished: Deferred[int] | None = None

    def start(self) -> Deferred[int]:
        """Register with the consumer; fires with the number of records when the last was handed over to it.

        Fails with what reading or ``encode`` raised, and with Twisted's `CancelledError` when the consumer wants
        no more, as a transport does whose connection is lost. Cancelling it ends the stream.

        Raises:
            ConfigError: it was started before.
        """
        if self._finished is not None:
            raise ConfigError("a range is streamed once only", next_step="make a new RangeProducer")
        finished = self._finished = Deferred(lambda _: self._leave())
        self._registered = True
        self._consumer.registerProducer(self, False)
        return finished

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Write a page; the consumer calls it when it wants more. One page is read at a time."""
        if self._registered and self._reading is None:
            page = self._map.page(*self._bounds, **self._query, after=self._token)
            self._reading = page.addCallback(self._write)
            self._reading.addErrback(self._fail)

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """End the stream; the consumer calls it when it wants no more."""
        self._registered = False  # it has forgotten this producer
        if self._finished is not None:
            self._finished.cancel()

    def _write(self, page: Page[K, V]) -> None:
        data = b"".join(self._encode(key, value) for key, value in page)
        self._reading = None
        self._written += len(page)
        self._token = page.token
        if data:
            self._consumer.write(data)
        if not self._registered:  # writing has told that the consumer is gone
            return
        if page.token is None:
            self._leave()
            self._fire(self._written)
        elif not data:  # then nobody asks for more
            self.resumeProducing()

    def _fail(self, failure: Failure) -> None:
        if self._registered:  # and not what came of being stopped
            self._leave()
            self._fire(failure)

    def _fire(self, outcome: int | Failure) -> None:
        assert self._finished is not None
        if isinstance(outcome, Failure):
            self._finished.errback(outcome)
        else:
            self._finished.callback(outcome)

    def _leave(self) -> None:
        registered, self._registered = self._registered, False
        if self._reading is not None:
            self._reading.cancel()
        if registered:
            self._consumer.unregisterProducer()
