# SPDX-License-Identifier: MIT
"""The existing `zlmdb`, installed in a folder of its own and run in a process of its own.

``python -m benchmarks.peers FOLDER RECORDS COUNTED DIRECTORY`` is that process: it reads the name of a row from each
line of its input and writes a line of JSON, ``{"seconds": …}`` or ``{"error": …}``.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.contestant import Contestant
from benchmarks.data import Data
from benchmarks.installing import EXISTING, PeerFailed
from benchmarks.processes import Process


class Peer(Contestant):
    """The near end of the process; raises `PeerFailed`."""

    name = "existing"

    def __init__(self, data: Data, directory: Path) -> None:
        super().__init__(data, directory)
        EXISTING.install()
        options = [str(EXISTING.folder), str(data.records), str(data.counted), str(directory / "peer")]
        self.process = Process(f"zlmdb {EXISTING.version}", "peers", *options)

    def wait_until_filled(self) -> None:
        """Wait until it is ready for rows."""
        self.process.answer()

    def measure(self, row: str) -> float:
        """Return the seconds that the row took over there."""
        return float(self.process.ask(row)["seconds"])

    def close(self) -> None:
        self.process.close()


def load(folder: Path) -> Any:
    """Import `zlmdb` and make sure that it comes from ``folder``."""
    sys.path.insert(0, str(folder))
    import zlmdb

    found = Path(zlmdb.__file__).resolve()
    if not found.is_relative_to((folder / "zlmdb").resolve()):
        raise PeerFailed(f"zlmdb came from {found}, not from {folder}")
    return zlmdb


def serve(folder: Path, records: int, counted: int, directory: Path) -> None:
    """Answer the rows that are asked for until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the package prints
    zlmdb = load(folder)
    from benchmarks.maps import Existing

    contestant = Existing(Data(records, counted), directory, zlmdb)
    gc.freeze()
    print(json.dumps({"filled": records}), file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"seconds": getattr(contestant, line.strip())()}
        except Exception as error:  # noqa: BLE001  it is reported, whatever it is
            answer = {"error": f"{line.strip()}: {error!r}"}
        print(json.dumps(answer), file=answers, flush=True)
    contestant.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
