# SPDX-License-Identifier: MIT
"""What the databases of a node hold, read from another process."""

from pathlib import Path

import zlmdb
from zlmdb_eventhistory import Event, EventHistory
from zlmdb_realmstore import RealmSchema, Session


def events(path: Path) -> list[Event]:
    """The events in the order in which they were appended."""
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn:
        return list(db.attach(EventHistory).events.select(txn, return_keys=False))


def publications(path: Path) -> list[int]:
    return [event.publication for event in events(path)]


def sessions(path: Path) -> dict[int, Session]:
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn:
        stored = db.attach(RealmSchema).sessions.select(txn, return_keys=False)
        return {session.session: session for session in stored}


def waiting_calls(path: Path) -> list[int]:
    """The first arguments of the calls that wait."""
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn:
        return [call["message"][4][0] for call in db.attach(RealmSchema).calls.select(txn, return_keys=False)]
