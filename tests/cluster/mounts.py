"""A folder of this disk seen through FUSE mounts whose kernel is late, as a client of NFS is: mounted and unmounted here."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

LATE_S = 3
"""For so long a mount goes on with what it knows: names, names that there are not, sizes, contents. NFS: up to 60 s."""
APART = (
    "unshare", "--uts", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
    'hostname "$0" && exec "$@"',
)  # fmt: skip
"""Before a host's name and a command: another machine, as far as that can be had here. No process is seen from the other."""

NAMES = "abc"
"""Of the machines."""


def missing() -> str | None:
    """Why no folder can be mounted here; None: one can."""
    lost = [name for name in ("bindfs", "unshare") if shutil.which(name) is None]
    if lost:
        return f"no {', '.join(lost)} here (apt-get install bindfs)"
    if os.geteuid() != 0:
        return "mounts and namespaces are made as root"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no /dev/fuse here"
    done = subprocess.run([*APART, "somewhere", "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"no namespaces can be made here: {done.stderr.strip()}"


@dataclass(frozen=True, slots=True)
class Mounts:
    """One folder, and the places where machines see it, each by a name.

    Attributes:
        folder: Where all of it is.
    """

    folder: Path

    @property
    def real(self) -> Path:
        """The folder on the disk, where nothing is late."""
        return self.folder / "real"

    def on(self, name: str) -> Path:
        """Where a machine sees it."""
        return self.folder / name

    def at(self, name: str, place: Path) -> tuple[str, ...]:
        """Before a command that sees the folder elsewhere, as a machine does.

        Args:
            name: Of the machine.
            place: Where it sees it.
        """
        script = 'mount --bind "$0" "$1" && shift && exec "$@"'
        return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(self.on(name)), str(place))

    def mount(self, *, keeps: bool = True) -> None:
        """Mount it for each machine; each mount has caches of its own.

        Args:
            keeps: Whether sizes and contents are late, too; else what is opened is read as it is, as NFS promises.
        """
        timeouts = {"entry": LATE_S, "negative": LATE_S, "attr": LATE_S if keeps else 0}
        options = ",".join([*(f"{what}_timeout={s}" for what, s in timeouts.items()), *["kernel_cache"] * keeps])
        self.real.mkdir()
        for name in NAMES:
            self.on(name).mkdir()
            command = ["bindfs", "--no-allow-other", "-o", options, str(self.real), str(self.on(name))]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, done.stderr

    def unmount(self) -> None:
        """Unmount what is mounted, also where a process is still in it."""
        for name in NAMES:
            if self.on(name).is_mount():
                subprocess.run(["umount", "--lazy", str(self.on(name))], check=True, timeout=30)
