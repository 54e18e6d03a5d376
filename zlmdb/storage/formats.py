# SPDX-License-Identifier: MIT
"""Tell the LMDB format of a data file before LMDB sees it.

Only ``data.mdb`` is ever read here: opening and closing ``lock.mdb`` in a process that has the environment
open would drop LMDB's own locks on it (POSIX locks belong to the process, not to the descriptor).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zlmdb.errors import FormatMismatch
from zlmdb.storage.faults import NotADatabase, from_system

MAGIC: Final = 0xBEEFC0DE
# FORMAT.md 1.1: where the magic stands in the first page, by version word; 1.2: the names of the formats
_MAGIC_AT: Final = {1: 16, 3: 24}
LIB_VERSIONS: Final = {1: "0.9", 3: "1.0"}
_PAGE_SIZE, _LAST_PAGE, _TXNID = 24, 120, 128  # offsets from the magic (struct MDB_meta of LMDB, 64 bit)
_META_BYTES: Final = 160


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What the meta pages say: ``lib_version`` is ``"0.9"`` or ``"1.0"``; sizes are in bytes."""

    lib_version: str
    page_size: int
    last_page: int
    last_txnid: int


def data_file(directory: str | Path) -> Path:
    """Return the path of the data file of the environment in ``directory``."""
    return Path(directory) / "data.mdb"


def sniff(directory: str | Path) -> FileFormat | None:
    """Read the format of the environment in ``directory``; None if there is no data file or an empty one.

    Raises `NotADatabase` for another kind of file, one of another byte order, or one shorter than its
    meta page says (LMDB would end the process with SIGBUS on such a file); `FormatMismatch` for an LMDB
    format that no released engine reads; `AccessDenied`.
    """
    path = data_file(directory)
    try:
        with path.open("rb") as file:
            head = file.read(65536 + _META_BYTES)
            size = file.seek(0, 2)
    except FileNotFoundError:
        return None
    except NotADirectoryError as exc:
        raise NotADatabase("a file stands where a directory was expected", where=str(directory)) from exc
    except OSError as exc:
        raise from_system(exc, str(path)) from exc
    if size == 0:
        return None
    found = _newest_meta(head, path)
    if (found.last_page + 1) * found.page_size > size and not _all_pages_inside(path):
        raise NotADatabase(
            "the data file is cut short",
            where=str(path),
            got=f"{size} bytes",
            expected=f"{(found.last_page + 1) * found.page_size} bytes, as its meta page says",
            next_step="restore it from a backup",
        )
    return found


def _newest_meta(head: bytes, path: Path) -> FileFormat:
    version, start = _version(head, path)
    metas = []
    page_size = _meta(head, start, version).page_size if len(head) >= start + _META_BYTES else 0
    for page in (0, 1):
        at = start + page * page_size
        if page_size and len(head) >= at + _META_BYTES and struct.unpack_from("=I", head, at) == (MAGIC,):
            metas.append(_meta(head, at, version))
    if not metas:
        raise NotADatabase("the meta pages are cut short or damaged", where=str(path), got=f"{len(head)} bytes")
    return max(metas, key=lambda meta: meta.last_txnid)


def _meta(head: bytes, at: int, version: int) -> FileFormat:
    (page_size,) = struct.unpack_from("=I", head, at + _PAGE_SIZE)
    (last_page,) = struct.unpack_from("=Q", head, at + _LAST_PAGE)
    (txnid,) = struct.unpack_from("=Q", head, at + _TXNID)
    return FileFormat(LIB_VERSIONS[version], page_size, last_page, txnid)


def _version(head: bytes, path: Path) -> tuple[int, int]:
    for at in range(0, min(64, len(head) - 8), 4):
        magic, version = struct.unpack_from("=II", head, at)
        if magic == MAGIC:
            if _MAGIC_AT.get(version) == at:
                return version, at
            raise FormatMismatch(
                "an LMDB file of a format that no released engine reads",
                where=str(path),
                got=f"data version {version} at byte {at}",
                expected="1 at byte 16 (LMDB 0.9) or 3 at byte 24 (LMDB 1.0), as 64-bit machines write them",
                next_step="dump it with the program that wrote it and load it here",
            )
        if magic == int.from_bytes(MAGIC.to_bytes(4, "big"), "little"):
            raise NotADatabase(
                "an LMDB file of a machine of the other byte order",
                where=str(path),
                next_step="dump it there with mdb_dump and load it here",
            )
    raise NotADatabase(
        "not an LMDB data file",
        where=str(path),
        got=head[:32],
        expected=f"the LMDB magic {MAGIC:#x} within the first 64 bytes",
    )


def _all_pages_inside(path: Path) -> bool:
    # pages that a transaction took and gave back may lie past the end without being missed, so that the
    # exact answer takes a walk; py-lmdb's verifier reads bytes only and never hands the file to LMDB
    from lmdb.verify import VerifyError, verify

    try:
        return not verify(str(path.parent))  # type: ignore[no-untyped-call]
    except VerifyError:
        return False
