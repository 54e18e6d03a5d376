# SPDX-License-Identifier: MIT
"""The existing `zlmdb`, installed in a folder of its own and run in a process of its own.

``python -m benchmarks.peers FOLDER RECORDS COUNTED DIRECTORY`` is that process: it reads the name of a row from each
line of its input and writes a line of JSON, ``{"seconds": …}`` or ``{"error": …}``.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.contestant import Contestant
from benchmarks.data import Data
from benchmarks.installing import EXISTING, ROOT, PeerFailed


class Peer(Contestant):
    """The near end of the process; raises `PeerFailed`."""

    name = "existing"

    def __init__(self, data: Data, directory: Path) -> None:
        super().__init__(data, directory)
        EXISTING.install()
        command = [sys.executable, "-m", "benchmarks.peers", str(EXISTING.folder)]
        options = [str(data.records), str(data.counted), str(directory / "peer")]
        self.process = subprocess.Popen(
            command + options, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait_until_filled(self) -> None:
        """Wait until it is ready for rows."""
        self._answer()

    def measure(self, row: str) -> float:
        """Return the seconds that the row took over there."""
        with suppress(BrokenPipeError):  # then there is no answer either
            print(row, file=self._stdin, flush=True)
        return float(self._answer()["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            raise PeerFailed(f"the process of zlmdb {EXISTING.version} ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(f"zlmdb {EXISTING.version}: {answer['error']}")
        return answer

    @property
    def _stdin(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    def close(self) -> None:
        self._stdin.close()
        self.process.wait()


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
