# SPDX-License-Identifier: MIT
"""What is rolled back waits for no reader, however busy the readers are."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import zlmdb
from zlmdb import errors

pytestmark = pytest.mark.timeout(60)  # each rollback took seconds where it waited


class People(zlmdb.Schema):
    def __init__(self) -> None:
        self.people = zlmdb.MapUint64Cbor(1)
        self.by_email = zlmdb.MapStringUint64(2)
        self.people.attach_index("email", self.by_email, lambda row: row["email"])


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[zlmdb.Database]:
    """A database that four threads read without a pause."""
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        people = People().people
        with db.begin(write=True) as txn:
            people[txn, 1] = {"email": "a"}
        ended = threading.Event()

        def read() -> None:
            while not ended.is_set():
                with db.begin() as txn:
                    for _ in range(5):
                        txn.get(b"\0\1")

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        yield db
        ended.set()
        for thread in threads:
            thread.join()


def test_savepoints_are_undone_at_once(busy: zlmdb.Database) -> None:
    schema = People()
    with busy.begin(write=True) as txn:
        for number in range(2, 100):
            with pytest.raises(errors.UniqueViolation), txn.savepoint():
                schema.people[txn, number] = {"email": "a"}
            with pytest.raises(errors.KeyExists), txn.savepoint():
                schema.people.insert(txn, 1, {"email": "b"})
        assert schema.people.count(txn) == 1


def test_transactions_are_rolled_back_at_once(busy: zlmdb.Database) -> None:
    people = People().people
    for number in range(50):
        with pytest.raises(LookupError), busy.begin(write=True) as txn:
            people[txn, 2] = {"email": str(number)}
            raise LookupError
    with busy.begin() as txn:
        assert people.count(txn) == 1


def test_what_a_cursor_still_holds_is_rolled_back_all_the_same(tmp_path: Path) -> None:
    people = People().people
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        people[txn, 1] = {"email": "a"}
        with pytest.raises(LookupError), txn.savepoint():
            people[txn, 2] = {"email": "b"}
            cursor = txn.cursor()
            assert cursor.first()
            raise LookupError
        assert people.count(txn) == 1
        people[txn, 3] = {"email": "c"}
