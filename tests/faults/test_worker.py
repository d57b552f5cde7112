"""What a worker may do to itself: its cell fails, says why, and the study goes on."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from permille.study.worker.containment import cut_network
from permille.study.worker.containment import environment as allowed
from tests.conftest import Permille
from tests.faults.conftest import MakeStudy, kept, ours
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

BAD = """
import ctypes, mmap, os, resource, signal, subprocess, sys, time

def memory_error(text):
    resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
    return bytearray(10 * 2**30)

def ten_gb(text):
    return bytearray(10 * 2**30)

def segfault(text):
    ctypes.string_at(0)

def killed(text):
    sys.stderr.write("the last words\\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)

def floods(text):
    for _ in range(2000):
        sys.stderr.write("x" * 10_000 + "\\n")
    raise RuntimeError("after 20 MB of words")

def leaves_a_child(text):
    subprocess.Popen(["sleep", "600"])
    return good(text)

def leaves_a_daemon(text):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for descriptor in range(3):
                os.close(descriptor)
            time.sleep(600)
        os._exit(0)
    return good(text)

def forges(text):
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, b"\\0\\0\\0\\4junk" * 100)
        except OSError:
            pass
    time.sleep(1)
    return good(text)

def huge_message(text):
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, b"\\xff\\xff\\xff\\xff")
        except OSError:
            pass
    time.sleep(1)
    return good(text)

def exits(text):
    os._exit(0)

def hangs(text):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
"""


FAILS = {
    "memory_error": "MemoryError",
    "ten_gb": "MemoryError",
    "segfault": "SIGSEGV",
    "killed": "SIGKILL (out of memory?): the last words",
    "floods": "after 20 MB of words",
    "leaves_a_child": "running (sleep)",
    "leaves_a_daemon": "running (python",
    "forges": "malformed message",
    "huge_message": "malformed message",
    "exits": "without a result",
}
"""What the reason of each contains."""


@pytest.mark.parametrize(
    ("expected", "limits_s"),
    # The one that hangs meets its limit, which the good one must not, however busy the machine is.
    [(FAILS, (600,)), ({"hangs": "timed out after "}, (3, 30, 300))],
)
def test_its_cell_fails_with_the_reason_and_the_study_goes_on(
    permille: Permille,
    powercap: Driver,
    make_study: MakeStudy,
    tmp_path: Path,
    expected: dict[str, str],
    limits_s: tuple[int, ...],
) -> None:
    for limit_s in limits_s:
        path = make_study(*expected, "good", source=BAD, timeout_s=limit_s, more="memory_gib = 2")
        finished = permille("run", str(path), "--store", f"{limit_s}.db", code=1)
        assert len(finished.out) + len(finished.err) < 20_000
        trials = {trial.cell.model: trial for trial in kept(tmp_path, f"{limit_s}.db")}
        good = trials.pop("good")
        if "timed out" not in (good.reason or ""):
            break
    # On a machine busy enough the meter's fake falls behind: that is not the worker's doing.
    assert good.status == "done" or "too short for rapl" in (good.reason or ""), good.reason
    assert trials.keys() == expected.keys()
    assert {trial.status for trial in trials.values()} == {"failed"}
    for model, words in expected.items():
        assert words in (trials[model].reason or ""), model
        assert words in finished.out
    assert set(ours(tmp_path)) <= {powercap._process.pid}


def test_the_last_lines_that_it_printed_are_kept_and_bounded(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    permille("run", str(make_study("floods", "killed", source=BAD)), code=1)
    floods, killed = sorted(kept(tmp_path), key=lambda trial: trial.cell.model != "floods")
    assert killed.last_lines == ("the last words",)
    assert floods.last_lines[-1] == "RuntimeError: after 20 MB of words"
    assert sum(map(len, floods.last_lines)) <= 8192


TELLS = """
import json, os, socket
OFFLINE = os.environ.get("HF_HUB_OFFLINE") == "1"

def tells(text):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname(), timeout=5):
            loopback = True
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=0.5).close()
        outside = "reached"
    except OSError as error:
        outside = type(error).__name__ + str(error.errno)
    with open(os.path.join(os.path.dirname(__file__), "told.json"), "w") as file:
        names = [name for _, name in socket.if_nameindex()]
        json.dump({"hub_is_offline": OFFLINE, "loopback": loopback,
                   "outside": outside, "interfaces": names,
                   "environment": dict(os.environ), "uid": os.getuid(),
                   "oom": open("/proc/self/oom_score_adj").read().strip()}, file)
    return good(text)
"""


def _told(folder: Path) -> Any:
    return json.loads((folder / "told.json").read_text())


def test_a_worker_has_loopback_and_no_other_network(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    if not _can_cut():
        pytest.skip("no network namespaces here")
    permille("run", str(make_study("tells", source=TELLS)))
    told = _told(tmp_path)
    assert told["interfaces"] == ["lo"]
    assert told["loopback"] is True
    assert told["outside"] == "OSError101"  # ENETUNREACH
    assert told["uid"] == os.getuid()
    assert told["oom"] == "1000"
    (trial,) = kept(tmp_path)
    assert not any("network" in note for note in trial.notes)
    # From the start: huggingface_hub is imported before the model is called.
    assert told["hub_is_offline"] is True


@pytest.mark.parametrize("at", ["more", "model"])
def test_a_study_or_a_model_may_be_given_the_network(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path, at: str
) -> None:
    permille("run", str(make_study("tells", source=TELLS, **{at: "network = true"})))
    assert _told(tmp_path)["interfaces"] == [name for _, name in socket.if_nameindex()]


def test_without_privilege_the_network_is_cut_in_a_user_namespace(tmp_path: Path) -> None:
    """Energy marks go through an inherited socket, files stay as accessible as they were."""
    nobody = 65534 if os.geteuid() == 0 else os.geteuid()
    own = tmp_path / "own"
    own.write_text("mine")
    os.chown(own, nobody, -1)
    own.chmod(0o600)
    tmp_path.chmod(0o755)
    file = os.open(tmp_path, os.O_RDONLY)
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(nobody, nobody, nobody)
            os.setresuid(nobody, nobody, nobody)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable again: /proc/self is its own
        reason = cut_network()
        opened = os.open("own", os.O_RDONLY, dir_fd=file)
        found = [reason, os.read(opened, 10).decode(), os.geteuid(),
                 [name for _, name in socket.if_nameindex()]]  # fmt: skip
        theirs.sendall(json.dumps(found).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(file)
    theirs.close()
    with ours:
        found = json.loads(ours.recv(1000))
    if found[0] == "Operation not permitted":
        pytest.skip("user namespaces are not permitted here")
    assert found == [None, "mine", nobody, ["lo"]]


def test_where_the_network_cannot_be_cut_the_trial_says_so(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = make_study("good")
    limit = ["unshare", "--user", "--map-root-user", "--mount"]
    script = (
        "for n in /proc/sys/user/max_net_namespaces; do echo 0 > $n; done;"
        f" exec {sys.executable} -m permille run {path} --store {tmp_path}/cut.db"
    )
    done = subprocess.run(
        [*limit, "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp"), "PERMILLE_METERS": "rapl",
                          "PERMILLE_POWERCAP": str(powercap.tree.root)},
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no user namespaces here: {done.stderr[-200:]}")
    (trial,) = kept(tmp_path, "cut.db")
    assert any("network could not be cut" in note for note in trial.notes)


def test_a_worker_sees_no_secret_unless_it_is_named(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    secrets: dict[str, Any] = {
        "AWS_SECRET_ACCESS_KEY": "s1", "HF_TOKEN": "s2", "OPENAI_API_KEY": "s3", "MY_SECRET": "s4",
        "PERMILLE_WALL": "redfish+http://root:s5@bmc", "GITHUB_TOKEN": "s6", "DATABASE_URL": "s7",
        "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    path = str(make_study("tells", source=TELLS, repeats=2))
    permille("run", path, "--repeats", "1", **secrets)
    told = _told(tmp_path)["environment"]
    assert not [value for value in told.values() if value in {f"s{n}" for n in range(1, 8)}]
    assert "PERMILLE_WALL" not in told
    assert told["OMP_NUM_THREADS"] == "1"
    assert told["HF_HUB_OFFLINE"] == "1"
    permille("run", path, "--pass-env", "MY_SECRET", **secrets)
    told = _told(tmp_path)["environment"]
    assert told["MY_SECRET"] == "s4"
    assert "HF_TOKEN" not in told


def test_what_the_allow_list_lets_through() -> None:
    kept_names = ["PATH", "HOME", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "HF_HOME", "PYTHONPATH"]
    kept_names += ["HIP_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM", "ORT_LOGGING_LEVEL"]
    left_out = ["HF_TOKEN", "HUGGINGFACE_API_KEY", "AWS_REGION", "SSH_AUTH_SOCK", "PERMILLE_WALL"]
    left_out += ["PERMILLE_TOKEN", "PGPASSWORD", "http_proxy", "LD_AUDIT"]
    everything = dict.fromkeys(kept_names + left_out, "x")
    assert set(allowed(everything)) == set(kept_names)
    assert set(allowed(everything, ["AWS_REGION"])) == {*kept_names, "AWS_REGION"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "x") for name in (
            "HF_APIKEY", "HF_APITOKEN", "LLAMA_PWD", "CUDA_PASSPHRASE", "ORT_CREDS", "HF_DSN",
            "TORCH_ACCESSKEY", "GGML_PRIVATE_PEM", "HF_CONNECTION_STRING", "HF_BEARER", "HF_COOKIE",
            "hf_token", "TRITON_DB_URI", "OMP_JWT", "HF_WEBHOOK", "HF_USERPASSWORD", "HF_AUTHFILE",
        )),
        ("HF_X", "hf_" + "a1B2" * 8),
        ("HF_X", "sk-proj-" + "a1B2" * 8),
        ("HF_X", "ghp_" + "a1B2" * 9),
        ("HF_X", "github_pat_" + "a1B2" * 9),
        ("HF_X", "AKIA" + "A1B2" * 4),
        ("HF_X", "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl"),
        ("HF_X", "-----BEGIN RSA PRIVATE KEY-----\nMII"),
        ("HF_X", "postgres://me:pass@host/db"),
        ("HF_X", "https://:pass@host"),
        ("HF_X", "Server=h;Uid=me;Pwd=pass;"),
        ("HF_X", "Authorization: Bearer abc"),
        ("HF_X", '{"key": "hf_' + "a1B2" * 8 + '"}'),
        ("HF_X", "https://host/?token=abc"),
    ],
)  # fmt: skip
def test_secrets_by_other_names_and_by_their_shape_reach_no_worker_unless_named(
    name: str, value: str
) -> None:
    assert not allowed({name: value})
    assert allowed({name: value}, [name]) == {name: value}


def test_what_only_looks_like_a_secret_is_let_through() -> None:
    everything = {
        "TOKENIZERS_PARALLELISM": "false", "PATH": "/opt/sk-learn/bin:/usr/bin",
        "HF_ENDPOINT": "https://huggingface.co", "KMP_AFFINITY": "granularity=fine,compact,1,0",
        "CUDA_VISIBLE_DEVICES": "GPU-8a1b2c3d-aaaa-bbbb-cccc-1234567890ab",
        "HF_HOME": "/data/hf_home",
        "LD_LIBRARY_PATH": "/usr/lib:/opt/lib", "PYTHONPATH": "/srv/keys",
    }  # fmt: skip
    assert allowed(everything) == everything


REJOINS = """
import ctypes, json, os, pathlib, subprocess
def good(text):
    libc = ctypes.CDLL(None, use_errno=True)
    found = {}
    for name in ("net", "mnt"):
        try:
            space = os.open(f"/proc/1/ns/{name}", os.O_RDONLY)
        except OSError as error:
            found[name] = error.strerror
        else:
            found[name] = libc.setns(space, 0)
    child = subprocess.run(["nsenter", "-t", "1", "-n", "true"], capture_output=True)
    found["child"] = child.returncode
    (pathlib.Path(__file__).parent / "rejoined.json").write_text(json.dumps(found))
    return "good"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="who may rejoin is root")
def test_a_worker_of_root_cannot_rejoin_the_network(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    if not _can_cut():
        pytest.skip("no network namespaces here")
    permille("run", str(make_study("good", source=REJOINS, repeats=1)), code=None)
    found = json.loads(next(tmp_path.rglob("rejoined.json")).read_text())
    assert 0 not in (found["net"], found["mnt"], found["child"]), found


def _can_cut() -> bool:
    for flags in (["-n"], ["-rn"]):
        if subprocess.run(["unshare", *flags, "true"], capture_output=True).returncode == 0:
            return True
    return False
