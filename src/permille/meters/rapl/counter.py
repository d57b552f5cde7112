"""A powercap counter's file: kept open, checked at every read, with untrusted content."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from permille.records.recording import Domain


@dataclass
class EnergyCounter:
    """One ``energy_uj`` held open."""

    domain: Domain
    path: Path
    range_uj: int
    descriptor: int | None = None
    inode: tuple[int, int] = (0, 0)

    def open(self) -> None:
        """Open the file, or reopen it.

        Raises:
            OSError: it cannot be opened.
        """
        self.close()
        # A pipe without a writer, for example, must not block the recorder.
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self.descriptor)
        self.inode = (status.st_dev, status.st_ino)

    def read(self) -> tuple[float | None, str | None]:
        """(joules, None), or (None, the reason why there is no value)."""
        try:
            status = os.stat(self.path)
            if self.descriptor is None or (status.st_dev, status.st_ino) != self.inode:
                self.open()
            assert self.descriptor is not None
            # At offset 0 sysfs asks the driver anew, without reopening (kernel, sysfs.rst).
            raw = os.pread(self.descriptor, 64, 0)
        except OSError as error:
            self.close()
            # ENODEV is what an open file of sysfs returns once its driver has gone (kernel,
            # fs/kernfs/file.c).
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESTALE):
                return None, f"{self.path} has vanished"
            return None, f"{self.path} cannot be read: {error.strerror}"
        return parse_counter(raw, self.range_uj)

    def identity(self) -> str:
        """Device and inode of the zone's folder."""
        try:
            status = os.stat(self.path.parent)
        except OSError:
            return "gone"
        return f"{status.st_dev}:{status.st_ino}"

    def close(self) -> None:
        """Close the file, if it is open."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def parse_counter(raw: bytes, range_uj: int) -> tuple[float | None, str | None]:
    """(joules, None) from a counter's content in microjoules, or (None, the error)."""
    text = raw.strip()
    if not text:
        return None, "the counter is empty"
    # int() alone would also take a sign, blanks and underscores.
    if not text.isdigit():
        return None, f"the counter says {text[:32].decode('ascii', 'replace')!r}, not microjoules"
    value = int(text)
    # Each wrap adds the range: if the counter goes beyond it, that is too little.
    if value > range_uj:
        return None, f"the counter says {value} uJ, above its range of {range_uj} uJ"
    return value / 1e6, None
