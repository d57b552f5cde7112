"""A rough forecast of time and energy for cells of the published study on this machine. Pure.

The study's seconds (on one A100) are scaled by the ratio of the calibration model's time here to
its time there, because with one input at a time an A100 mostly waits. What a batch gains over
single inputs is left out: nothing tells it beforehand. Lower bounds apply: reading the weights once
per token of a batch, multiplying each token of a text with each weight and, for generated images,
the operations of the A100, which it fully used.
"""

from __future__ import annotations

from collections.abc import Mapping

from permille.architectures.lengths import input_lengths
from permille.records import Record
from permille.study.plan.calibration import DATASET, MODEL, Calibration
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.plan.published import Published, published
from permille.study.worker.queries import WARMUP_S
from permille.units import kwh_from_joules

A100_OPERATIONS_PER_S = 19.5e12
"""float32 without tensor cores, as in the study: NVIDIA A100 datasheet (2020)."""
BYTES_PER_PARAM = {"float32": 4, "float16": 2, "bfloat16": 2}


class Forecast(Record):
    """The forecast for a run. None if a cell is not in the study; kWh also without a meter."""

    seconds: float | None
    kwh: float | None


def forecast(
    plan: Plan, trials: Mapping[str, int], calibration: Calibration, least_query_s: float
) -> Forecast:
    """Seconds and kWh of so many ``trials`` of each cell, by its id: idle baseline, loading,
    warm-up and queries, which go on for ``least_query_s``."""
    known = published()
    reference = known["text-classification", DATASET, MODEL].seconds
    total_s = 0.0
    for planned in plan.cells:
        cell = planned.cell
        published_cell = known.get((cell.task, cell.dataset, cell.model))
        # A forecast that left a cell out would be too low without showing it.
        if published_cell is None:
            return Forecast(seconds=None, kwh=None)
        one_s = inference_s(planned, published_cell, calibration, reference)
        protocol = plan.protocol_of(planned)
        # Warm-up counts calls, and one call is a batch (queries.warm_up). The time is looked at
        # before each call, so that the last one may exceed it.
        call_s = protocol.batch_size * one_s
        warmup_s = min(protocol.warmup_max * call_s, WARMUP_S + call_s)
        # Each trial's process imports the libraries for itself.
        load_s = calibration.import_s + published_cell.params * calibration.load_s_per_param
        query_s = max(protocol.inferences * one_s, least_query_s)
        trial_s = protocol.idle_s + load_s + warmup_s + query_s
        total_s += trials[cell.id] * trial_s
    power_w = calibration.power_w
    return Forecast(
        seconds=total_s,
        kwh=None if power_w is None else kwh_from_joules(power_w * total_s),
    )


def inference_s(
    planned: PlannedCell, published: Published, calibration: Calibration, reference_s: float
) -> float:
    """Seconds of one inference here; ``reference_s``: of the calibration's model in the study."""
    cell = planned.cell
    bounds = [published.seconds * calibration.inference_s / reference_s]
    if cell.task == "text-to-image":
        bounds.append(published.seconds * A100_OPERATIONS_PER_S / calibration.operations_per_s)
    else:
        # Each generated token needs all weights once more, for all inputs of a batch together; an
        # input needs them once, however long.
        generated = cell.settings.get("max_new_tokens", 1)
        width = BYTES_PER_PARAM[cell.settings.get("dtype", "float32")]
        read_s = generated * width * published.params / calibration.bytes_per_s
        bounds.append(read_s / planned.batch_size)
        lengths = input_lengths(cell.dataset)
        tokens = (lengths.tokens or 0) + (lengths.question_tokens or 0) if lengths else 0
        bounds.append(2 * published.params * tokens / calibration.operations_per_s)
    return max(bounds)


def download_bytes(plan: Plan) -> int | None:
    """The approximate download size of the Hub models, from their parameters; None if one is
    unknown. Datasets are not included; files already in the cache are."""
    known = {model: cell.params for (_, _, model), cell in published().items()}
    total = 0
    for planned in {p.cell.model: p for p in plan.cells if p.wanted is not None}.values():
        params = planned.params or known.get(planned.cell.model)
        if params is None:
            return None
        total += params * 4  # most files are float32, whatever type they are loaded as
    return total
