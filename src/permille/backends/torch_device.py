"""Find torch's device by its name in a study file, and wait for it."""

from __future__ import annotations

from typing import Any

from permille.errors import ModelError


def find_device(model_id: str, name: str) -> Any:
    """torch's device of that name.

    Raises:
        ModelError: this machine has no such device.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(
            f"model {model_id!r}: device {name!r}: cpu, cuda, cuda:1 or mps"
        ) from error
    there = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise ModelError(f"model {model_id!r}: this torch sees no device {name!r}")
    # With its number: "cuda" alone is torch's current device, and the trial records the name.
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def synchronise(device: Any) -> None:
    """Wait until a device has done what is queued. A call returns when its work on a GPU is queued,
    not done: https://pytorch.org/docs/stable/notes/cuda.html#asynchronous-execution"""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
