"""Contain a worker: no secrets in its environment, no network, limited memory, and no outliving the
run. On systems other than Linux, the trial's notes say what is not available."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TERM|TMPDIR|TMP|TEMP|VIRTUAL_ENV"
    r"|PYTHON(PATH|HOME|HASHSEED|UTF8|UNBUFFERED|DONTWRITEBYTECODE|WARNINGS|MALLOC)"
    r"|LD_LIBRARY_PATH|LD_PRELOAD|DYLD_\w+|MALLOC_\w+|XDG_(CACHE|CONFIG|DATA)_HOME"
    r"|(CUDA|CUDNN|CUBLAS|NCCL|NVIDIA|HIP|ROCR|ROCM|HSA|MIOPEN|GPU|ZE|SYCL|ONEAPI)_\w+"
    r"|(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|VECLIB|NUMEXPR|ORT|ONNXRUNTIME|GGML|LLAMA)_\w+"
    r"|(HF|HUGGINGFACE|TRANSFORMERS|DIFFUSERS|TOKENIZERS|SAFETENSORS|TORCH|TORCHINDUCTOR"
    r"|PYTORCH|TRITON)_\w+"
    r"|PERMILLE_\w+"
)
"""Names of variables for workers: those that programs and accelerators need."""
SECRET = re.compile(
    # TOKENIZERS_PARALLELISM is not a token.
    r"TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|PWD|CREDS?(_|$)|CREDENTIAL|APIKEY|KEYS?(_|$)|AUTH|BEARER"
    r"|COOKIE|DSN|CONN(ECTION)?_?STR|SIGNATURE|PRIVATE|WEBHOOK"
    r"|(^|_)(PASS|PAT|SAS|JWT|OTP|PIN|LOGIN)(_|$)"
    r"|(DATABASE|DB|REDIS|MONGO|MONGODB|POSTGRES|MYSQL|AMQP|BROKER)_?UR[IL]"
    r"|^PERMILLE_(WALL|REPLAY|STORE)$",
    re.IGNORECASE,
)
"""Variables with these words in their name are only passed by ``--pass-env``, even if allowed
above. A wall meter's address may contain a password."""
SECRET_VALUE = re.compile(
    r"(hf|api_org)_[A-Za-z0-9]{16,}|(sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
    r"|(gh[pousr]|github_pat|glpat)[-_][A-Za-z0-9_-]{16,}|xox[a-z]-[A-Za-z0-9-]{10,}"
    r"|(AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|nvapi-[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)?"
)
"""Values that are secrets by their form, whatever the variable's name: the key prefixes of the Hub,
OpenAI, Stripe, GitHub, GitLab, Slack, AWS, Google, npm, PyPI and NVIDIA, and JSON Web Tokens."""
SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]*:[^/\s@]+@|\bBearer\s+\S"
    r"|(?<![a-z])(password|passwd|pwd|accountkey|sharedaccesskey|secret|token|api_?key)\s*=\s*\S",
    re.IGNORECASE,
)
"""A private key, a password within an address, a connection string."""
_PIECES = re.compile(r"[\s,;=&?\"'{}()]+")

_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CAPABILITIES = {
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_MODULE": 16,
    "CAP_SYS_RAWIO": 17,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
    "CAP_BPF": 39,
}
"""Capabilities that let a root process rejoin the machine's network: entering another process's
namespace (setns), another process, the kernel or its devices. See capabilities(7)."""
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""What makes the Hub's libraries use only their caches."""
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def environment(everything: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """The variables in ``everything`` that a worker may have; ``also`` names more."""
    named = set(also)
    return {
        name: value
        for name, value in everything.items()
        if name in named or (ALLOWED.fullmatch(name) and not is_secret(name, value))
    }


def is_secret(name: str, value: str) -> bool:
    """Whether a variable contains a secret, by its name or by the form of its value."""
    if SECRET.search(name) or SECRET_TEXT.search(value):
        return True
    return any(SECRET_VALUE.fullmatch(piece) for piece in _PIECES.split(value))


def contain(*, network: bool, memory_gib: float | None, parent: int) -> tuple[str, ...]:
    """Contain this process before it has a second thread; returns notes on what failed.

    Raises:
        SystemExit: the runner, ``parent``, has already ended.
    """
    notes = []
    if not network:
        # Here, because the libraries read these as they are imported. Without them, each file is
        # looked for on the Hub before the cache.
        os.environ |= _OFFLINE
        reason = cut_network()
        if reason is None:
            reason = _stay_cut()
        if reason is not None:
            notes.append(f"the worker's network could not be cut: {reason}")
    if memory_gib is not None:
        reason = _limit_memory(memory_gib)
        if reason is not None:
            notes.append(f"memory_gib could not be set: {reason}")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # While a process is not dumpable, its files in /proc belong to root (proc(5)): it could not
        # write the score below, nor could what it leaves be found by its environment.
        libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # If memory runs out, the kernel should kill the worker, not the runner.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
    # After prctl(): a runner that ended before it sends no signal any more (prctl(2)).
    if os.getppid() != parent:
        raise SystemExit("the runner has ended")
    return tuple(notes)


def cut_network() -> str | None:
    """Restrict this process to the loopback interface; returns None, or why it failed.

    This uses a new network namespace; without privileges, inside a user namespace in which the user
    and group keep their ids, so that access to files does not change (user_namespaces(7)).
    """
    if sys.platform != "linux":
        return f"{sys.platform} has no network namespaces"
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    # With privileges, without a user namespace: in one, root could not read other users' files.
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            return os.strerror(ctypes.get_errno())
        try:
            # An unprivileged process must give up setgroups() before it may map its group, and may
            # map no ids but its own (user_namespaces(7)).
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        except OSError as error:
            return f"cut, but the user could not be mapped: {error.strerror}"
    return _raise_loopback()


def _stay_cut() -> str | None:
    """Drop the capabilities that lead back to the network, for this process and its descendants;
    returns None, or why it failed. Without privileges there is nothing to drop."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Or a set-user-ID program, such as sudo, could give the capabilities back.
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    if libc.capget(header, sets) != 0:
        return f"it may be rejoined: {os.strerror(ctypes.get_errno())}"
    held = sets[1] | sets[4] << 32
    if not any(held >> number & 1 for number in _CAPABILITIES.values()):
        return None
    for name, number in _CAPABILITIES.items():
        # EINVAL: the kernel is older than the capability, so nobody has it.
        # From the bounding set as well: root gets back at execve() whatever is in it
        # (capabilities(7)).
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0 and held >> number & 1:
            return f"it may be rejoined: {name}: {os.strerror(ctypes.get_errno())}"
        half, bit = divmod(number, 32)
        for kind in range(3):
            sets[half * 3 + kind] &= ~(1 << bit)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if libc.capset(header, sets) != 0:
        return f"it may be rejoined: {os.strerror(ctypes.get_errno())}"
    return None


def _raise_loopback() -> str | None:
    """Bring loopback up, which llama.cpp needs and which is down in a new namespace."""
    import fcntl
    import socket
    import struct

    form = "16sH14x"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            request = struct.pack(form, b"lo", 0)
            answer = struct.unpack(form, fcntl.ioctl(channel, _SIOCGIFFLAGS, request))
            fcntl.ioctl(channel, _SIOCSIFFLAGS, struct.pack(form, b"lo", answer[1] | _IFF_UP))
    except OSError as error:
        return f"cut, but loopback could not be raised: {error.strerror}"
    return None


def _limit_memory(gib: float) -> str | None:
    """Limit private memory (heap and anonymous maps, not mapped files)."""
    if sys.platform != "linux":
        return f"{sys.platform} does not enforce it"
    limit = round(gib * 2**30)
    try:
        # Not RLIMIT_AS: CUDA and mapped weights take far more addresses than memory. RLIMIT_DATA
        # covers private maps beside the heap, since Linux 4.7 (getrlimit(2)).
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (OSError, ValueError) as error:
        return str(error)
    return None
