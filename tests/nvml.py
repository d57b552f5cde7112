"""A libnvidia-ml.so.1 without a GPU: compiled from meters/fake_nvml.c, scripted by a file.

::

    fake = FakeNvml(tmp_path)
    fake.script("count=2", "gpu0.power_mw=350000")
    subprocess.run([...], env=os.environ | fake.environment)   # finds it before the real one
    fake.script("gpu0.rc=15")                                  # from now on GPU 0 is lost
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "meters" / "fake_nvml.c"
LEAST = SOURCE.with_name("least_nvml.c")
"""A library with the least functions that a measurement needs."""


class FakeNvml:
    """The library in ``folder``, and the file that says what it answers (see the source's top).

    Raises:
        subprocess.CalledProcessError: there is a compiler, but it failed.
        FileNotFoundError: there is no gcc.
    """

    def __init__(self, folder: Path, source: Path = SOURCE) -> None:
        self._script = folder / "nvml.txt"
        library = folder / "libnvidia-ml.so.1"
        flags = ("-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-D_GNU_SOURCE")
        subprocess.run(["gcc", *flags, "-o", library, source], check=True)
        self.environment = {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML": str(self._script)}
        self.script()

    def script(self, *lines: str) -> None:
        """From the next call on the library answers so: one GPU with a counter, but for these."""
        new = self._script.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self._script)
