# SPDX-License-Identifier: MIT
"""Check the pages of a data file without handing them to LMDB, which ends the process on some damaged ones."""

from __future__ import annotations

from zlmdb.storage.environment import Environment
from zlmdb.storage.transaction import Transaction


def damaged_pages(environment: Environment) -> tuple[str, ...]:
    """Return what is wrong with the structure of the file, one line for each fault; nothing for a sound one.

    Reads the whole file (py-lmdb's own verifier, in Python, about 80 MB/s); it may be in use, and grows
    meanwhile as it does under any long read transaction. Any thread.
    """
    from lmdb.verify import VerifyError, verify

    # pages of the newest snapshot, which the verifier looks at, are not used again while this one is held
    with Transaction(environment):
        try:
            return tuple(verify(environment.path))  # type: ignore[no-untyped-call]
        except VerifyError as exc:
            return (str(exc),)
