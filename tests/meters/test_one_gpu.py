"""One GPU of several: which it is, its meter, and its lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from permille.errors import RecorderError
from permille.meters.one_gpu import HOST
from permille.recorder.lock import acquire, lock_path
from tests.nvml import FakeNvml

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
from permille.errors import PermilleError
from permille.meters.one_gpu import find_gpu, open_one
try:
    gpu = find_gpu(sys.argv[1])
    meters = open_one(gpu.uuid)
except PermilleError as error:
    print(json.dumps([error.exit_code, str(error)]))
    sys.exit()
print(json.dumps({
    "index": gpu.index,
    "uuid": gpu.uuid,
    "domains": [domain.name for meter in meters for domain in meter.domains],
    "readings": {r.domain: [r.energy_j, r.error] for meter in meters for r in meter.read()},
}))
for meter in meters:
    meter.close()
"""
TWO = ("count=2", "gpu0.uuid=GPU-aa", "gpu1.uuid=GPU-bb", "gpu1.energy_mj=7000")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> FakeNvml:
    return FakeNvml(tmp_path_factory.mktemp("nvml"))


def opened(library: FakeNvml, gpu: str) -> Any:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, gpu], env=os.environ | library.environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", ["1", "GPU-bb"])
def test_a_gpu_is_measured_alone_and_the_host_has_no_figure(library: FakeNvml, name: str) -> None:
    library.script(*TWO)
    gpu = opened(library, name)
    assert (gpu["index"], gpu["uuid"]) == (1, "GPU-bb")
    assert gpu["domains"] == ["gpu:0", "cpu:0"]
    assert gpu["readings"] == {"gpu:0": [7.0, None], "cpu:0": [None, HOST]}


def test_a_lost_gpu_does_not_hide_the_others(library: FakeNvml) -> None:
    library.script(*TWO, "gpu0.rc=15")
    assert opened(library, "1")["uuid"] == "GPU-bb"
    assert "GPU is lost" in opened(library, "0")[1]


@pytest.mark.parametrize(
    ("gpu", "script", "reason"),
    [
        ("1", "gpu1.mig=1", "GPU 1 is divided (MIG), and its counter covers all instances"),
        ("MIG-5", "", "GPU MIG-5 is divided (MIG)"),
        ("2", "", "NVML knows no GPU '2'"),
        ("1", "gpu1.uuid=none", "GPU 1 has no UUID"),
        ("1", "init=9", "--per gpu needs NVIDIA GPUs that NVML reads: "),
    ],
)
def test_what_is_no_whole_gpu_is_refused(
    library: FakeNvml, gpu: str, script: str, reason: str
) -> None:
    library.script(script, *TWO)  # the first line of a key counts
    code, message = opened(library, gpu)
    assert code == 3
    assert reason in message


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def _release(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _stated_process() -> str:
    with pytest.raises(RecorderError) as refused:
        acquire("--shared")
    return str(refused.value).partition("(process ")[2].partition(")")[0]


def test_the_process_of_an_earlier_holder_is_not_named(locks: None) -> None:
    held = acquire("--shared")
    assert _stated_process() == str(os.getpid())
    # As another user's run leaves the file, which it may not write to.
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock_path().write_text(f"{ended.pid}\n")
    assert _stated_process() == "unknown"
    # The id of a process that has started since.
    lock_path().write_text(f"{os.getpid()}\n")
    os.utime(lock_path(), (1.0, 1.0))
    assert _stated_process() == "unknown"
    _release(held)


def test_gpus_are_measured_beside_each_other_but_not_beside_the_whole_machine(locks: None) -> None:
    first, second = acquire("--shared", gpu="GPU-aa"), acquire("--shared", gpu="GPU-bb")
    with pytest.raises(RecorderError, match="another permille is measuring on GPU GPU-aa"):
        acquire("--shared", gpu="GPU-aa")
    with pytest.raises(RecorderError, match="another permille is measuring on this machine"):
        acquire("--shared")
    _release(first)
    _release(acquire("--shared", gpu="GPU-aa"))
    _release(second)
    whole = acquire("--shared")
    with pytest.raises(RecorderError, match="another permille is measuring on this machine"):
        acquire("--shared", gpu="GPU-aa")
    _release(whole)
    _release(acquire("--shared", gpu="GPU-aa"))
