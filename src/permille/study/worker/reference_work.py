"""The work of the reference workload: the same on every machine, now and later.

Half of it interprets Python, half of it hashes memory in C; nothing is read, written or drawn. A
change here makes other figures: raise the name of the protocol in study/run/reference.py with it.
"""

from __future__ import annotations

import hashlib

STEPS = 12_000
MEMORY_BYTES = 1 << 20
ANSWER = "72524511"
"""What :func:`work` gives for an empty text: a sign that it was done."""


def work(text: str) -> str:
    """About 2 ms of work on a machine of 2020; its answer depends on all of it."""
    state = len(text)
    for _ in range(STEPS):
        # Knuth's generator for MMIX: each step needs the one before, so none can be left out.
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) & 0xFFFFFFFFFFFFFFFF
    memory = state.to_bytes(8, "little") * (MEMORY_BYTES // 8)
    return hashlib.blake2b(memory, digest_size=4).hexdigest()
