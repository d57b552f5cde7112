"""What a worker is kept from: secrets in its environment, the network, too much memory, and
outliving the run. Linux; elsewhere what cannot be had is said in the trial's notes."""

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
"""Names of variables that a worker is given: what programs and accelerators need to run."""
SECRET = re.compile(
    r"(^|_)(TOKEN|TOKENS|KEY|KEYS|SECRET|SECRETS|PASSWORD|PASSWD|PASS|CREDENTIAL|CREDENTIALS|AUTH)"
    r"(_|$)|^PERMILLE_(WALL|REPLAY|STORE)$"
)
"""Never given, whatever allows it above, but by ``--pass-env``. A wall meter's address may
carry a password."""

_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def environment(everything: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """The variables of ``everything`` that a worker may have; ``also`` names more."""
    named = set(also)
    return {
        name: value
        for name, value in everything.items()
        if name in named or (ALLOWED.fullmatch(name) and not SECRET.search(name))
    }


def contain(*, network: bool, memory_gib: float | None, parent: int) -> tuple[str, ...]:
    """Contain this process, before it has a second thread; notes on what could not be done.

    Raises:
        SystemExit: the runner, ``parent``, has gone already.
    """
    notes = []
    if not network:
        reason = cut_network()
        if reason is not None:
            notes.append(f"the worker's network could not be cut: {reason}")
    if memory_gib is not None:
        reason = _limit_memory(memory_gib)
        if reason is not None:
            notes.append(f"memory_gib could not be set: {reason}")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # If memory runs out, the kernel shall take the worker, not the runner.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent:
        raise SystemExit("the runner has gone")
    return tuple(notes)


def cut_network() -> str | None:
    """Leave this process the loopback interface alone; None, or why it could not be done.

    A network namespace of its own; without privilege, within a user namespace in which our user
    and group keep their numbers, so that files stay as accessible as they were.
    """
    if sys.platform != "linux":
        return f"{sys.platform} has no network namespaces"
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            return os.strerror(ctypes.get_errno())
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        except OSError as error:
            return f"cut, but the user could not be mapped: {error.strerror}"
    return _raise_loopback()


def _raise_loopback() -> str | None:
    """llama.cpp is asked over loopback; a new namespace has it down."""
    import fcntl
    import socket
    import struct

    form = "16sH14x"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            asked = struct.pack(form, b"lo", 0)
            found = struct.unpack(form, fcntl.ioctl(channel, _SIOCGIFFLAGS, asked))
            fcntl.ioctl(channel, _SIOCSIFFLAGS, struct.pack(form, b"lo", found[1] | _IFF_UP))
    except OSError as error:
        return f"cut, but loopback could not be raised: {error.strerror}"
    return None


def _limit_memory(gib: float) -> str | None:
    """Private memory (heap and anonymous maps; not files that are mapped)."""
    if sys.platform != "linux":
        return f"{sys.platform} does not enforce it"
    limit = round(gib * 2**30)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (OSError, ValueError) as error:
        return str(error)
    return None
