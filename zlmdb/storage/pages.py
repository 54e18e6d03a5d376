# SPDX-License-Identifier: MIT
"""Check the pages of a data file without handing them to LMDB, which ends the process on some damaged ones."""

from __future__ import annotations

from zlmdb.storage.environment import Environment
from zlmdb.storage.opening import Options, with_format
from zlmdb.storage.transaction import Transaction


def damaged_pages(path: str, lock: bool = True) -> tuple[str, ...]:
    """Return what is wrong with the structure of the file, one line for each fault; nothing for a sound one.

    Reads the whole file (py-lmdb's own verifier, in Python, about 80 MB/s); other processes may use it, and it
    grows meanwhile as it does under any long read transaction. This process must not have it open: to open a
    database is to read the first of its records, which may end the process. Raises what opening it raises.
    """
    from lmdb.verify import VerifyError, verify

    environment = Environment(path, with_format(path, Options(readonly=True, lock=lock)))  # reads the meta pages alone
    try:
        # pages of the newest snapshot, which the verifier looks at, are not used again while this one is held
        with Transaction(environment):
            return tuple(verify(environment.path))  # type: ignore[no-untyped-call]
    except VerifyError as exc:
        return (str(exc),)
    finally:
        environment.close()
