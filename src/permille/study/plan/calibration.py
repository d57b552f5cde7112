"""Measure this machine's speed in a few seconds of real work, for a rough forecast."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from permille.api.session import record
from permille.architectures.lengths import input_lengths
from permille.architectures.words import word
from permille.errors import RecorderError
from permille.records import Record
from permille.workload.requests import Text
from permille.workload.specs import ModelSpec

MODEL, DATASET = "distilbert-base-uncased-finetuned-sst-2-english", "SST2"
"""The replica that is timed, on generated inputs of this dataset's length."""
_LEAST_S = 0.7
_SIDE = 1_024
_COPIED = 64 << 20


class Calibration(Record):
    """For one device: seconds of an inference of :data:`MODEL`; operations (float32 multiply and
    add, two each) per second of a square matrix product and bytes per second of a copy; seconds per
    parameter to build a replica, and seconds to import the libraries before it; mean power (W) of
    all metered domains in that time, None if there are none."""

    device: str
    inference_s: float
    operations_per_s: float
    bytes_per_s: float
    load_s_per_param: float
    import_s: float
    power_w: float | None


def calibrate(device: str) -> Calibration:
    """Measure ``device``, which torch must support, for a few seconds.

    Raises:
        ModelError: torch sees no such device.
    """
    try:
        with (
            # Not refused beside another run: a rough forecast needs no machine of its own.
            record(boundary="node", shared=True) as recording,
            recording.span("work"),
        ):
            measured = _work(device)
    except RecorderError:  # no meter can be read, or none is usable
        return _work(device)
    energy = recording["work"].energy
    seconds = recording["work"].seconds
    power_w = energy.value / seconds if energy is not None else None
    return msgspec.structs.replace(measured, power_w=power_w)


def _work(device: str) -> Calibration:
    began = time.monotonic()
    import torch

    from permille.backends.torch_device import synchronise
    from permille.backends.transformers.plugin import backend

    spec = ModelSpec(
        id=MODEL,
        backend="transformers",
        category="task-specific",
        settings={"weights": "replica", "device": device},
    )
    backend.load(spec, "text-classification").close()
    first_s = time.monotonic() - began
    # Again: the first time has the libraries' import in it (27 s beside 6 s, on two busy cores), of
    # which a larger model needs no more.
    began = time.monotonic()
    model = backend.load(spec, "text-classification")
    load_s = time.monotonic() - began
    lengths = input_lengths(DATASET)
    count = (lengths and lengths.tokens) or 1
    request = Text(text=" ".join(word(number) for number in range(count)))
    inference_s = _typical(lambda: model.infer(request))
    params = model.facts.params or 1
    model.close()
    place = torch.device(device)
    square = torch.randn(_SIDE, _SIDE, device=place)
    source = torch.randn(_COPIED // 4, device=place)
    target = torch.empty_like(source)

    # Each waits for the device: a call returns before a GPU has done the work.
    def multiply() -> None:
        torch.matmul(square, square)
        synchronise(place)

    def copy() -> None:
        target.copy_(source)
        synchronise(place)

    product_s, copy_s = _typical(multiply), _typical(copy)
    return Calibration(
        device=device,
        inference_s=inference_s,
        operations_per_s=2 * _SIDE**3 / product_s,
        # A copy reads each byte and writes it.
        bytes_per_s=2 * _COPIED / copy_s,
        load_s_per_param=load_s / params,
        import_s=max(0.0, first_s - load_s),
        power_w=None,
    )


def _typical(work: Callable[[], Any]) -> float:
    """The median duration over most of a second and at least three times, after two warm-up
    runs."""
    for _ in range(2):
        work()
    durations: list[float] = []
    began = time.monotonic()
    while len(durations) < 3 or time.monotonic() - began < _LEAST_S:
        t0 = time.monotonic()
        work()
        durations.append(time.monotonic() - t0)
    return statistics.median(durations)
