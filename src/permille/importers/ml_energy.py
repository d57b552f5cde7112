"""The ML.ENERGY leaderboard, version 3: GPU energy of servers under load.

Every configuration is a model served on some GPUs at a batch size, with its energy per request (or
image, or video) and, for text, per token. Only GPUs are metered, so these trials only have the
boundary ``accelerator``. The energy is that of a busy server, not of single requests: the batch
size is in the protocol, and nothing is pooled with other sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.codecarbon.importer import GPU_ACCURACY
from permille.importers.plausible import disagreement, power_fault
from permille.importers.reading.documents import document
from permille.importers.reading.files import Source
from permille.records.cell import Category, ModelFacts
from permille.records.energy import Phase
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Trial

SOURCE = "ml-energy"

_TASKS: dict[str, tuple[str, Category]] = {
    "gpqa": ("text-generation", "general-purpose"),
    "lm-arena-chat": ("text-generation", "general-purpose"),
    "sourcegraph-fim": ("text-generation", "general-purpose"),
    "image-chat": ("image-text-to-text", "general-purpose"),
    "video-chat": ("video-text-to-text", "general-purpose"),
    "text-to-image": ("text-to-image", "task-specific"),
    "text-to-video": ("text-to-video", "task-specific"),
}
# No settings: in the cell's id, each measurement would make a cell of its own.
_RESULTS = {
    "nickname",
    "avg_batch_size",
    "avg_output_len",
    "avg_power_watts",
    "batch_latency_s",
    "energy_per_image_joules",
    "energy_per_request_joules",
    "energy_per_token_joules",
    "energy_per_video_joules",
    "median_itl_ms",
    "output_throughput_tokens_per_sec",
    "p90_itl_ms",
    "p95_itl_ms",
    "p99_itl_ms",
    "throughput_images_per_sec",
    "throughput_videos_per_sec",
}
_TOLERANCE = 0.02
_NOT_READ = (
    "{} of the ML.ENERGY leaderboard: only version 3 is supported (files with a task and its"
    " configurations); get those of the same model from https://ml.energy/leaderboard"
)
_OF_A_MODEL = "the file of one model, which repeats the files of tasks: import the folder tasks"

Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class Configuration(msgspec.Struct, frozen=True):
    """The columns that a trial needs; all energies in joules."""

    model_id: str
    gpu_model: str
    num_gpus: Count
    avg_power_watts: float
    total_params_billions: float | None = None
    activated_params_billions: float | None = None
    architecture: str | None = None
    max_num_seqs: Count | None = None
    batch_size: Count | None = None
    avg_batch_size: float | None = None
    avg_output_len: float | None = None
    output_throughput_tokens_per_sec: float | None = None
    batch_latency_s: float | None = None
    energy_per_request_joules: float | None = None
    energy_per_token_joules: float | None = None
    energy_per_image_joules: float | None = None
    energy_per_video_joules: float | None = None


class MlEnergyImporter:
    """The ``ml-energy`` format: the leaderboard's data, complete or single task files."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial per configuration of every task file. The models' files repeat them."""
        for member in source.members(tally.leave_out):
            if not member.is_of(".json", ".csv"):
                continue
            if PurePosixPath(member.name).suffix.lower() == ".csv":
                tally.files += 1
                tally.leave_out(member.name, None, _NOT_READ.format("CSV, as version 1 has"))
                continue
            content = document(member, tally)
            if _is_version_2(content):
                tally.leave_out(member.name, None, _NOT_READ.format("version 2"))
                continue
            if not isinstance(content, dict) or not isinstance(content.get("task"), str):
                if member.chosen and content is not None:
                    tally.leave_out(member.name, None, "no task with configurations in it")
                continue
            if "model_id" in content:
                # A model's part of the task files: reading both would count each figure twice.
                if member.chosen:
                    tally.leave_out(member.name, None, _OF_A_MODEL)
                continue
            configurations = content.get("configurations")
            if not isinstance(configurations, list):
                tally.leave_out(member.name, None, "its configurations are not a list")
                continue
            for at, raw in enumerate(configurations, start=1):
                tally.rows += 1
                try:
                    tally.place(member.name, at)
                    yield _trial(content["task"], raw, options)
                except (msgspec.ValidationError, ValueError, OverflowError) as error:
                    tally.leave_out(member.name, at, str(error))


importer = MlEnergyImporter()


def _is_version_2(content: Any) -> bool:
    """Version 2 has one file per configuration, whose keys include units."""
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and {"Model", "GPU model"} <= first.keys()


def _trial(task: str, raw: dict[str, Any], options: Options) -> Trial:
    if task not in _TASKS:
        raise ValueError(f"unknown task {task[:40]!r}")
    hub_task, category = _TASKS[task]
    it = msgspec.convert(raw, Configuration)
    energy_j, seconds, counts = _per_inference(it)
    power_j = _positive(it.avg_power_watts, "avg_power_watts") * seconds
    # The file has energy, power and time, so each can be checked against the other two.
    fault = power_fault("gpu", energy_j, seconds) or disagreement(
        "energy per request, image or video (J)", energy_j, "avg_power_watts x its time", power_j
    )
    if fault is not None:
        raise ValueError(fault)
    batch_size = it.max_num_seqs or it.batch_size
    if batch_size is None:
        raise ValueError("neither max_num_seqs nor batch_size")
    domains = {
        "gpu": build.domain(energy_j, "gpu", SOURCE, Provenance.MEASURED, GPU_ACCURACY),
    }
    settings = {name: value for name, value in raw.items() if name not in _RESULTS}
    return Trial(
        uid=f"{SOURCE}:{build.digest([task, raw])}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task=hub_task,
            dataset=task,
            model=it.model_id,
            category=category,
            # What the benchmark serves them with (ml-energy/benchmark: configs/vllm, configs/xdit).
            # xDiT is no backend of permille's: its figures are never taken for those of diffusers.
            backend="vllm" if it.max_num_seqs else "xdit",
            settings={k: v for k, v in settings.items() if k != "model_id"}
            | {"batch_size": batch_size},
        ),
        repeat=0,
        status="done",
        reason=None,
        started="",
        # The file has the mean of one request, image or video, not how many were measured.
        protocol=Protocol(inferences=1, batch_size=batch_size, name=SOURCE),
        environment=build.environment({"gpu_model": it.gpu_model, "gpu_count": str(it.num_gpus)}),
        source=SOURCE,
        device=f"{it.num_gpus} x {it.gpu_model}",
        facts=ModelFacts(
            params=_billions(it.total_params_billions),
            active_params=_billions(it.activated_params_billions),
            architecture=it.architecture,
        ),
        phases={
            "query": Phase(seconds=seconds, domains=domains, problems=build.GPU_ONLY, inferences=1)
        },
        counts=counts,
        notes=("GPU energy of a server under load: the mean request at this batch size",),
    )


def _per_inference(it: Configuration) -> tuple[float, float, dict[str, float]]:
    """Joules and server seconds of the mean inference, and its counts."""
    of = (it.energy_per_request_joules, it.energy_per_image_joules, it.energy_per_video_joules)
    if sum(energy is not None for energy in of) > 1:
        raise ValueError("energies per request, image and video: unclear which is one inference")
    if it.energy_per_request_joules is not None:
        tokens = _positive(it.avg_output_len, "avg_output_len")
        throughput = _positive(it.output_throughput_tokens_per_sec, "output throughput")
        energy_j = _positive(it.energy_per_request_joules, "energy_per_request_joules")
        # Of the server, which makes many answers at once: a request itself takes longer.
        seconds = tokens / throughput
        counts = {"tokens_out": tokens}
        per_token = it.energy_per_token_joules
        if per_token is not None and abs(per_token * tokens - energy_j) > _TOLERANCE * energy_j:
            raise ValueError("energy per request is not energy per token times tokens")
    else:
        unit = "images" if it.energy_per_image_joules is not None else "videos"
        energy = it.energy_per_image_joules if unit == "images" else it.energy_per_video_joules
        energy_j = _positive(energy, "energy per request, image or video")
        batch = _positive(it.batch_size, "batch_size")
        seconds = _positive(it.batch_latency_s, "batch_latency_s") / batch
        counts = {unit: 1.0}
    if it.avg_batch_size is not None:
        counts["avg_batch_size"] = it.avg_batch_size
    return energy_j, seconds, counts


def _positive(value: float | None, name: str) -> float:
    if value is None or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be above 0, not {value}")
    return float(value)


def _billions(value: float | None) -> int | None:
    return None if value is None or not 0 < value < 1e6 else round(value * 1e9)
