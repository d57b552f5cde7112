"""How long cells of the published study will take here, and how much energy. Rough. Pure.

The study's own seconds (one A100) are scaled by how much longer the calibration's small model
takes here than it took there, since at one input at a time an A100 mostly waits. What no machine
can be faster at is a lower bound: to read the weights once a token, to multiply each token of a
text with each weight, and, for images that are made, the operations that the A100 did, which was
busy with them.
"""

from __future__ import annotations

from permille.architectures.lengths import input_lengths
from permille.records import Record
from permille.study.plan.calibration import DATASET, MODEL, Calibration
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.plan.published import Published, published
from permille.units import kwh_from_joules

A100_OPERATIONS_PER_S = 19.5e12
"""float32 without tensor cores, as the study ran: NVIDIA A100 datasheet (2020)."""
BYTES_PER_PARAM = {"float32": 4, "float16": 2, "bfloat16": 2}
WARMUP_S = 30.0


class Forecast(Record):
    """Of a whole run. None where a cell is none of the study's; kWh also without a meter."""

    seconds: float | None
    kwh: float | None


def forecast(plan: Plan, repeats: int, calibration: Calibration) -> Forecast:
    """Seconds and kWh of every trial: idle baseline, loading, warm-up and queries."""
    known = published()
    reference = known["text-classification", DATASET, MODEL].seconds
    total_s = 0.0
    for planned in plan.cells:
        cell = planned.cell
        found = known.get((cell.task, cell.dataset, cell.model))
        if found is None:
            return Forecast(seconds=None, kwh=None)
        one_s = inference_s(planned, found, calibration, reference)
        protocol = plan.protocol_of(planned)
        warmup_s = min(protocol.warmup_max * one_s, WARMUP_S + one_s)
        load_s = found.params * calibration.load_s_per_param
        total_s += protocol.idle_s + load_s + warmup_s + protocol.inferences * one_s
    total_s *= repeats
    power_w = calibration.power_w
    return Forecast(
        seconds=total_s,
        kwh=None if power_w is None else kwh_from_joules(power_w * total_s),
    )


def inference_s(
    planned: PlannedCell, found: Published, calibration: Calibration, reference_s: float
) -> float:
    """Seconds of one inference here; ``reference_s``: of the calibration's model in the study."""
    cell = planned.cell
    bounds = [found.seconds * calibration.inference_s / reference_s]
    if cell.task == "text-to-image":
        bounds.append(found.seconds * A100_OPERATIONS_PER_S / calibration.operations_per_s)
    else:
        generated = cell.settings.get("max_new_tokens", 1)
        width = BYTES_PER_PARAM[cell.settings.get("dtype", "float32")]
        bounds.append(generated * width * found.params / calibration.bytes_per_s)
        lengths = input_lengths(cell.dataset)
        tokens = (lengths.tokens or 0) + (lengths.question_tokens or 0) if lengths else 0
        bounds.append(2 * found.params * tokens / calibration.operations_per_s)
    return max(bounds)


def download_bytes(plan: Plan) -> int | None:
    """What the models of the Hub are about, by their parameters: None where one's are not known.
    Datasets aside, and what is in the cache already counted in."""
    known = {model: found.params for (_, _, model), found in published().items()}
    total = 0
    for planned in {p.cell.model: p for p in plan.cells if p.wanted is not None}.values():
        params = planned.params or known.get(planned.cell.model)
        if params is None:
            return None
        total += params * 4  # most files hold float32, whatever they are then loaded as
    return total
