# SPDX-License-Identifier: MIT
"""The stores of the published cfxdb, by its own public classes; part of the script `tests.compat.program`."""

from __future__ import annotations

from typing import Any

import cfxdb  # noqa: F401  before zlmdb makes a choice of event loop
import numpy as np
from cfxdb.cookiestore import Cookie, CookieStoreSchema
from cfxdb.realmstore import Event, Publication, RealmStore, Session

import zlmdb


def record(made: Any, fields: dict[str, Any]) -> Any:
    """Return the object with its attributes set."""
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def fields(read: Any, names: list[str]) -> dict[str, Any]:
    """Return the attributes by name."""
    found = {name: getattr(read, name) for name in names}
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in found.items()}


def event_key(event: dict[str, Any]) -> tuple[int, Any]:
    """Return the key of an event."""
    return event["subscription"], np.datetime64(event["timestamp"], "ns")


def write(db: Any, stores: dict[str, Any]) -> None:
    """Store all records given."""
    cookies, realm = CookieStoreSchema.attach(db), RealmStore.attach(db)
    with db.begin(write=True) as txn:
        for given in stores["cookies"]:
            cookies.cookies[txn, given["oid"]] = record(Cookie(), given)
        for given in stores["sessions"]:
            realm.sessions[txn, given["oid"]] = record(Session(), given)
        for given in stores["publications"]:
            realm.publications[txn, given["publication"]] = record(Publication(), given)
        for given in stores["events"]:
            realm.events[txn, event_key(given)] = record(Event(), given)


def read(db: Any, stores: dict[str, Any]) -> dict[str, list[Any]]:
    """Return, for each record given, what is stored under its key, and through the index."""
    cookies, realm = CookieStoreSchema.attach(db), RealmStore.attach(db)
    with db.begin() as txn:
        return {
            "cookies": [fields(cookies.cookies[txn, given["oid"]], [*given]) for given in stores["cookies"]],
            "by_value": [cookies.idx_cookies_by_value[txn, given["value"]] for given in stores["cookies"]],
            "all_cookies": list(cookies.cookies.select(txn, return_values=False)),
            "sessions": [fields(realm.sessions[txn, given["oid"]], [*given]) for given in stores["sessions"]],
            "by_session": list(realm.idx_sessions_by_session_id.select(txn)),
            "publications": [
                fields(realm.publications[txn, given["publication"]], [*given]) for given in stores["publications"]
            ],
            "events": [fields(realm.events[txn, event_key(given)], [*given]) for given in stores["events"]],
        }


def run(request: dict[str, Any]) -> Any:
    """Serve one request: write the records, or read them."""
    with zlmdb.Database(request["path"], maxsize=64 * 2**20, **request.get("options", {})) as db:
        return {"write": write, "read": read}[request["action"]](db, request["stores"])
