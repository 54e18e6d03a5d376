# SPDX-License-Identifier: MIT
"""What the file system under a database can do: how much room it has, and whether it is one of the network."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
# LMDB needs a memory map that all processes see alike and POSIX locks that all of them honour (LMDB's
# documentation, "Do not use LMDB databases on remote filesystems"). Overlays are not listed: a container's
# upper layer belongs to that container alone, and LMDB opens for writing at once, so works on one copy.
NETWORK_KINDS: Final = frozenset(
    "9p afs afp ceph cifs coda drvfs fuse.ceph fuse.glusterfs fuse.grpcfuse fuse.rclone fuse.s3fs fuse.sshfs glusterfs"
    " lustre ncpfs nfs nfs4 prl_fs smb3 smbfs vboxsf virtiofs".split()
)


def free_bytes(path: str | Path) -> int:
    """Return how many bytes this process may still write on the file system that ``path`` lies or would lie on.

    One that counts no blocks at all, as those of the kernel's own, does not tell, and is not known to be full.
    """
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    found = os.statvfs(place)
    if not found.f_blocks:
        return sys.maxsize
    return (found.f_bavail if os.geteuid() else found.f_bfree) * found.f_frsize


def mount_of(path: str | Path, mountinfo: str) -> tuple[str, str] | None:
    """Return (mount point, kind of file system) of ``path`` from the text of ``/proc/self/mountinfo`` (proc(5))."""
    inside = os.path.realpath(path)
    best: tuple[str, str] | None = None
    for line in mountinfo.splitlines():
        place, separator, kind = line.partition(" - ")
        fields = place.split()
        if not separator or len(fields) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        # of two mounts on one point the later one hides the earlier one
        if inside.startswith(point.rstrip("/") + "/") and (best is None or len(point) >= len(best[0])):
            best = point, kind.split()[0]
    return best


def network_mount(path: str | Path, mounts: Path = _MOUNTS) -> tuple[str, str] | None:
    """Return (mount point, kind) if ``path`` lies on a network file system; None if not, or if it cannot be told."""
    try:
        found = mount_of(Path(path) / "data.mdb", mounts.read_text(errors="surrogateescape"))
    except OSError:
        return None  # no such file on this system
    return found if found and found[1] in NETWORK_KINDS else None
