# SPDX-License-Identifier: MIT
"""Which table of a file a word on the command line means."""

from __future__ import annotations

from zlmdb.cli.app import near
from zlmdb.errors import SchemaError
from zlmdb.orm.stored import Table


def chosen(found: list[Table], wanted: str) -> Table:
    """Return the table that ``wanted`` names: its name, the last part of it, its UUID, or its slot.

    Raises `SchemaError` if there is none, or more than one.
    """
    names = [table.name for table in found if table.name]
    matching = [
        table for table in found if wanted in {str(table.slot), table.name, table.entry and str(table.entry.oid)}
    ]
    matching = matching or [table for table in found if table.name and table.name.rpartition(".")[2] == wanted]
    if len(matching) == 1:
        return matching[0]
    raise SchemaError(
        "several tables go by this name" if matching else "there is no such table",
        got=wanted,
        expected=f"a name, slot or UUID, of {', '.join(f'{table.slot} ({table.name})' for table in found) or 'none'}",
        next_step=near(wanted, names) or "zlmdb info lists the tables",
    )
