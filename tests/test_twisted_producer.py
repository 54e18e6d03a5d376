# SPDX-License-Identifier: MIT
"""`RangeProducer`: a range as a stream of bytes, at the consumer's pace."""

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from tests.faces import FACES, error_of
from tests.reactor_bench import run
from zlmdb import MapStringCbor, errors
from zlmdb.twisted import AsyncDatabase, AsyncMap, RangeProducer, open_database

COUNT = 25


@pytest.fixture
def using(tmp_path: Path) -> Any:
    """Run ``test(db, map)`` with some records."""

    def run_filled(test: Any) -> Any:
        async def filled(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
            await users.put_many((f"{n:02}", n) for n in range(COUNT))
            await test(db, users)

        return FACES["twisted"].using(tmp_path / "db", filled, readers=1)  # so that one read ends after the other

    return run_filled


def line(key: str, value: int) -> bytes:
    return f"{key}={value}\n".encode()


def lines(*numbers: int) -> bytes:
    return b"".join(line(f"{n:02}", n) for n in numbers)


def test_a_page_is_written_each_time_the_consumer_asks(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        transport = StringTransport()
        producer = RangeProducer(users, line, transport, page_size=10)
        assert verifyObject(IPullProducer, producer)
        finished = producer.start()
        assert transport.producer is producer
        assert transport.streaming is False
        assert transport.value() == b""
        for end in (10, 20):
            producer.resumeProducing()
            producer.resumeProducing()  # while the page is read
            await db.read(lambda txn: None)
            assert transport.value() == lines(*range(end))
            assert not finished.called
            assert not db.database.environment.active
        producer.resumeProducing()
        assert await finished == COUNT
        assert transport.value() == lines(*range(COUNT))
        assert transport.producer is None
        producer.resumeProducing()  # too late, and no harm

    using(test)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"from_key": "20", "page_size": 2}, range(20, 25)),
        ({"to_key": "05", "reverse": True, "page_size": 2}, range(4, -1, -1)),
        ({"prefix": "1"}, range(10, 20)),
        ({"prefix": "none"}, []),
        ({"page_size": 5}, range(25)),
    ],
)
def test_the_range_is_that_of_select(using: Any, query: dict[str, Any], numbers: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        transport = StringTransport()
        producer = RangeProducer(users, line, transport, **query)
        finished = producer.start()
        while not finished.called:
            producer.resumeProducing()
            await db.read(lambda txn: None)
        assert await finished == len(numbers)
        assert transport.value() == lines(*numbers)

    using(test)


def test_pages_without_bytes_do_not_end_the_stream(using: Any) -> None:
    def some(key: str, value: int) -> bytes:
        return line(key, value) if value >= 20 else b""

    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        transport = StringTransport()
        producer = RangeProducer(users, some, transport, page_size=6)
        finished = producer.start()
        producer.resumeProducing()  # StringTransport would not ask again before something was written
        while not transport.value():
            await db.read(lambda txn: None)
        producer.resumeProducing()
        assert await finished == COUNT
        assert transport.value() == lines(*range(20, 25))

    using(test)


def test_a_consumer_that_wants_no_more_ends_the_stream(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        transport = StringTransport()
        producer = RangeProducer(users, line, transport, page_size=10)
        finished = producer.start()
        producer.resumeProducing()
        producer.stopProducing()
        assert isinstance(await error_of(finished), CancelledError)
        producer.resumeProducing()
        await db.read(lambda txn: None)
        assert transport.value() == b""

    using(test)


def test_cancelling_ends_the_stream_and_leaves_the_consumer(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        transport = StringTransport()
        producer = RangeProducer(users, line, transport, page_size=10)
        finished = producer.start()
        producer.resumeProducing()
        finished.cancel()
        assert isinstance(await error_of(finished), CancelledError)
        assert transport.producer is None
        await db.read(lambda txn: None)
        assert transport.value() == b""

    using(test)


def test_what_goes_wrong_fails_the_stream_and_leaves_the_consumer(using: Any) -> None:
    def broken(key: str, value: int) -> bytes:
        raise LookupError(key)

    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        for encode, query, error in [(broken, {}, LookupError), (line, {"from_key": 5}, errors.WrongType)]:
            transport = StringTransport()
            producer: Any = RangeProducer(users, encode, transport, **query)
            finished = producer.start()
            producer.resumeProducing()
            assert isinstance(await error_of(finished), error)
            assert transport.producer is None
        with pytest.raises(errors.ConfigError, match="once only"):
            producer.start()
        with pytest.raises(errors.ConfigError, match="page_size"):
            RangeProducer(users, line, transport, page_size=0)
        await db.close()
        finished = (closed := RangeProducer(users, line, StringTransport())).start()
        closed.resumeProducing()
        assert isinstance(await error_of(finished), errors.DatabaseClosed)

    using(test)


# --- a real connection


class Sender(Protocol):
    """Streams the range to whoever connects."""

    def __init__(self, users: AsyncMap[str, Any], outcome: Deferred[Any]) -> None:
        self.users = users
        self.outcome = outcome

    def connectionMade(self) -> None:
        finished = RangeProducer(self.users, lambda key, value: value, self.transport, page_size=10).start()
        finished.addBoth(self.sent)

    def sent(self, result: Any) -> None:
        self.outcome.callback(result)
        self.transport.loseConnection()  # type: ignore[union-attr]


class Receiver(Protocol):
    """Takes everything, or ends the connection after the first bytes."""

    def __init__(self, all_of_it: bool) -> None:
        self.all_of_it = all_of_it
        self.received: list[bytes] = []
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)
        if not self.all_of_it:
            self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(None)


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_range_goes_over_a_tcp_connection_and_stops_with_it(tmp_path: Path, all_of_it: bool) -> None:
    value = b"x" * 100_000  # 10 MB in all: more than any buffer of the connection holds
    sent: Deferred[Any] = Deferred()

    async def main(reactor: Any) -> None:
        async with open_database(tmp_path / "db", reactor=reactor, sync=False) as db:
            users = db.map(MapStringCbor(7))
            await users.put_many((f"{n:03}", value) for n in range(100))
            factory = Factory.forProtocol(lambda: Sender(users, sent))  # type: ignore[arg-type]
            port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
            receiver = Receiver(all_of_it)
            await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), receiver)
            await receiver.ended
            if all_of_it:
                assert await sent == 100
                assert b"".join(receiver.received) == value * 100
            else:
                assert isinstance(await error_of(sent), CancelledError)
            await port.stopListening()

    run(main)
