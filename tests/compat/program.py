# SPDX-License-Identifier: MIT
"""A program for either package: it declares tables, calls them, and answers with what each call gave.

Started as a script it runs on what its Python has installed: a request as JSON on standard input, the answers
on standard output. Imported it runs on the package under test.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # isolated from everything but the packages of its Python
    sys.path.insert(0, str(Path(__file__).parent))
    from wire import packed, unpacked
else:
    from tests.compat.wire import packed, unpacked

import numpy as np

import zlmdb


def build(record: list[Any], builder: Any) -> int:
    """Write [number, text, data] with the stock builder."""
    number, text, data = record
    text_at, data_at = builder.CreateString(text), builder.CreateByteVector(data)
    builder.StartObject(3)
    builder.PrependUint64Slot(0, number, 0)
    builder.PrependUOffsetTRelativeSlot(1, text_at, 0)
    builder.PrependUOffsetTRelativeSlot(2, data_at, 0)
    return int(builder.EndObject())


def cast(data: bytes) -> list[Any]:
    """Read it with the stock reader."""
    import flatbuffers.number_types  # the published package brings its own, once it is imported
    import flatbuffers.table

    root = flatbuffers.table.Table(data, int.from_bytes(data[:4], "little"))
    offsets = [root.Offset(4 + 2 * field) for field in range(3)]
    number = root.Get(flatbuffers.number_types.Uint64Flags, root.Pos + offsets[0]) if offsets[0] else 0
    return [number, root.String(root.Pos + offsets[1]).decode(), root.String(root.Pos + offsets[2])]


def itself(value: Any) -> Any:
    """Return the value: plain data needs no conversion."""
    return value


def _functions(table: dict[str, Any]) -> dict[str, Any]:
    if table["map"].endswith(("Json", "Cbor")):
        return {"marshal": itself, "parse": itself}
    if table["map"].endswith("FlatBuffers"):
        return {"build": build, "cast": cast}
    return {}


def made(db: Any, table: dict[str, Any]) -> Any:
    """Return a map: attached by its UUID, or at its fixed slot, which no catalogue has."""
    base, compress, functions = getattr(zlmdb, table["map"]), table.get("compress"), _functions(table)
    if "slot" in table:
        return base(table["slot"], compress, *functions.values())
    declared = type(table["label"], (base,), {"__doc__": table.get("doc")})
    return db.attach_table(zlmdb.table(table["oid"], compress=compress, **functions)(declared))


def attached(db: Any, tables: list[dict[str, Any]]) -> dict[str, Any]:
    """Attach the tables and their indexes; return the maps by label."""
    maps = {table["label"]: made(db, table) for table in tables}
    for table in tables:
        for index in table.get("indexes", ()):
            options = {name: index[name] for name in ("nullable", "unique") if name in index}
            maps[table["label"]].attach_index(index["label"], maps[index["label"]], _yielding(index), **options)
    return maps


def _yielding(index: dict[str, Any]) -> Any:
    def part(row: dict[str, Any], field: str) -> Any:
        return np.datetime64(row[field], "ns") if field in index.get("times", ()) else row.get(field)

    fields = index["fields"]
    if len(fields) == 1:
        return lambda row: part(row, fields[0])
    return lambda row: tuple(part(row, field) for field in fields)


def scanned(map_: Any, txn: Any) -> list[Any]:
    """Return the records in order; a set as a set."""
    return [(key, _plain(value)) for key, value in map_.select(txn)]


def _plain(value: Any) -> Any:
    return set(value) if isinstance(value, AbstractSet) else value  # a live set, too


CALLS: dict[str, Any] = {
    "get": lambda map_, txn, key: _plain(map_[txn, key]),
    "has": lambda map_, txn, key: (txn, key) in map_,
    "put": lambda map_, txn, key, value: map_.__setitem__((txn, key), value),
    "delete": lambda map_, txn, key: map_.__delitem__((txn, key)),
    "count": lambda map_, txn: map_.count(txn),
    "scan": scanned,
}


def answers(maps: dict[str, Any], txn: Any, calls: list[Any]) -> list[Any]:
    """Make the calls, each [name, label, arguments]; return what each gave, or the name of its error."""
    given = []
    for name, label, *arguments in calls:
        try:
            given.append({"gave": CALLS[name](maps[label], txn, *arguments)})
        except Exception as exc:  # noqa: BLE001  whatever it is, it is the answer
            given.append({"error": type(exc).__name__})
    return given


def run(request: dict[str, Any]) -> list[Any]:
    """Open the database of a request, attach its tables, and make its calls in one transaction."""
    options = {"maxsize": 64 * 2**20, **request.get("options", {})}
    with zlmdb.Database(request["path"], **options) as db:
        maps = attached(db, request["tables"])
        with db.begin(write=not options.get("readonly")) as txn:
            return answers(maps, txn, request["calls"])


def main() -> None:
    """Serve one request."""
    out, sys.stdout = sys.stdout, sys.stderr  # whatever a package prints is no answer
    request = unpacked(json.load(sys.stdin))
    if request["path"] is None:
        given: Any = {"file": zlmdb.__file__, "version": zlmdb.__version__}
    elif request.get("stores"):
        import stores

        given = stores.run(request)
    else:
        given = run(request)
    json.dump(packed(given), out)


if __name__ == "__main__":
    main()
