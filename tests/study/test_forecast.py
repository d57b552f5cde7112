"""The forecast of a run: what it is made of."""

from __future__ import annotations

import msgspec
import pytest

from permille.cli.planning import load
from permille.records.cell import ModelFacts
from permille.study.plan import calibration
from permille.study.plan.calibration import DATASET, MODEL, Calibration
from permille.study.plan.forecast import (
    A100_OPERATIONS_PER_S,
    Forecast,
    download_bytes,
    forecast,
)
from permille.study.plan.grid import Plan
from permille.study.plan.published import published
from permille.study.plan.selection import Selection
from permille.study.worker.queries import WARMUP_S
from tests.optional import later

later("diffusers", "diffusers")
REFERENCE_S = published()["text-classification", DATASET, MODEL].seconds
THERE = Calibration(
    device="cuda",
    inference_s=REFERENCE_S,
    operations_per_s=A100_OPERATIONS_PER_S,
    bytes_per_s=2e12,
    load_s_per_param=0.0,
    import_s=0.0,
    power_w=300.0,
)


def plan(task: str, model: str) -> Plan:
    chosen = Selection(tasks=task, models=model)
    made = load("power-hungry-2023", [], weights="replica", chosen=chosen, repeats=1)
    protocol = msgspec.structs.replace(made.protocol, idle_s=0.0, warmup_max=0)
    return msgspec.structs.replace(made, protocol=protocol)


def foreseen(made: Plan, repeats: int, machine: Calibration) -> Forecast:
    return forecast(made, {planned.cell.id: repeats for planned in made.cells}, machine, 0.0)


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("text-classification", MODEL),
        ("text-to-image", "segmind/tiny-sd"),
        ("image-classification", "microsoft/resnet-50"),
    ],
)
def test_on_the_studys_own_machine_it_is_the_studys_time(task: str, model: str) -> None:
    made = plan(task, model)
    wanted = sum(
        1000 * found.seconds for key, found in published().items() if key[::2] == (task, model)
    )
    found = foreseen(made, 1, THERE)
    assert found.seconds == pytest.approx(wanted)
    assert found.kwh == pytest.approx(300 * wanted / 3.6e6)
    assert foreseen(made, 3, THERE).seconds == pytest.approx(3 * wanted)


def test_what_is_left_to_run_is_counted_by_cell() -> None:
    made = plan("text-classification", "*")
    seconds = {}
    for planned in made.cells:
        alone = msgspec.structs.replace(made, cells=(planned,))
        seconds[planned.cell.id] = foreseen(alone, 1, THERE).seconds or 0.0
    cheapest, dearest = min(seconds, key=seconds.__getitem__), max(seconds, key=seconds.__getitem__)
    assert seconds[dearest] > 2 * seconds[cheapest]
    due = dict.fromkeys(seconds, 0) | {cheapest: 1, dearest: 2}
    wanted = seconds[cheapest] + 2 * seconds[dearest]
    assert forecast(made, due, THERE, 0.0).seconds == pytest.approx(wanted)


def test_a_slow_memory_and_slow_arithmetic_are_bounds() -> None:
    decoding = plan("text-generation", "gpt2")
    usual = foreseen(decoding, 1, THERE).seconds
    slow = msgspec.structs.replace(THERE, bytes_per_s=1e9)
    found = foreseen(decoding, 1, slow).seconds
    assert usual is not None
    assert found == pytest.approx(3 * 1000 * 10 * 4 * 124_439_808 / 1e9)
    drawing = plan("text-to-image", "segmind/tiny-sd")
    before, after = (
        foreseen(drawing, 1, msgspec.structs.replace(THERE, operations_per_s=rate)).seconds
        for rate in (A100_OPERATIONS_PER_S, A100_OPERATIONS_PER_S / 100)
    )
    assert before is not None
    assert after == pytest.approx(100 * before)


def batched(made: Plan, size: int, warmup: int = 0) -> Plan:
    cells = tuple(msgspec.structs.replace(one, batch_size=size) for one in made.cells)
    protocol = msgspec.structs.replace(made.protocol, warmup_max=warmup)
    return msgspec.structs.replace(made, cells=cells, protocol=protocol)


def test_a_call_of_the_warm_up_is_a_batch() -> None:
    made = plan("text-classification", MODEL)
    one_s = sum(
        found.seconds
        for key, found in published().items()
        if key[::2] == ("text-classification", MODEL)
    )
    single, eight, endless = (
        foreseen(batched(made, size, warmup), 1, THERE).seconds
        for size, warmup in ((1, 50), (8, 50), (8, 100_000))
    )
    assert single == pytest.approx(1050 * one_s)
    assert eight == pytest.approx(1400 * one_s)
    # Each cell's warm-up ends after WARMUP_S, with the batch that is running.
    assert endless == pytest.approx(1008 * one_s + len(made.cells) * WARMUP_S)


class Clock:
    """Stands still but for what passes in a test, and a moment at each look."""

    now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += 0.01
        return self.now_s


class Loaded:
    """A model that is there at once."""

    facts = ModelFacts(params=1000)

    def infer(self, request: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@pytest.mark.slow
def test_the_import_of_libraries_is_no_part_of_what_a_parameter_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, seconds = Clock(), iter((30.0, 5.0))

    def load(*_: object) -> Loaded:
        clock.now_s += next(seconds)
        return Loaded()

    monkeypatch.setattr("permille.backends.transformers.plugin.backend.load", load)
    monkeypatch.setattr(calibration, "time", clock)
    found = calibration._work("cpu")
    assert found.load_s_per_param == pytest.approx(5.0 / 1000, rel=0.05)
    assert found.import_s == pytest.approx(25.0, rel=0.05)


def test_each_trial_imports_libraries_whatever_its_models_size() -> None:
    made = plan("text-classification", MODEL)
    plain, slow = (
        foreseen(made, 3, msgspec.structs.replace(THERE, import_s=seconds)).seconds
        for seconds in (0.0, 20.0)
    )
    assert plain is not None
    assert slow == pytest.approx(plain + 3 * 20.0 * len(made.cells))


def test_a_query_goes_on_for_as_long_as_the_meters_need() -> None:
    made = plan("text-classification", MODEL)
    due = {planned.cell.id: 2 for planned in made.cells}
    usual, longer = (forecast(made, due, THERE, least_s).seconds for least_s in (0.001, 3600.0))
    assert usual == foreseen(made, 2, THERE).seconds
    assert longer == pytest.approx(2 * 3600.0 * len(made.cells))


def test_a_batch_reads_the_weights_once() -> None:
    slow = msgspec.structs.replace(THERE, bytes_per_s=1e7)
    made = plan("text-generation", "gpt2")
    single, eight = (foreseen(batched(made, size), 1, slow).seconds for size in (1, 8))
    assert single is not None
    assert eight == pytest.approx(single / 8)


def test_without_a_meter_there_is_no_energy() -> None:
    blind = msgspec.structs.replace(THERE, power_w=None)
    found = foreseen(plan("fill-mask", "roberta-base"), 1, blind)
    assert found.seconds is not None
    assert found.kwh is None


def test_a_cell_that_is_none_of_the_studys_is_not_guessed() -> None:
    made = plan("fill-mask", "roberta-base")
    other = made.cells[0]
    cell = msgspec.structs.replace(other.cell, dataset="inbox")
    made = msgspec.structs.replace(made, cells=(msgspec.structs.replace(other, cell=cell),))
    found = foreseen(made, 1, THERE)
    assert (found.seconds, found.kwh) == (None, None)


def test_replicas_download_nothing() -> None:
    assert download_bytes(plan("fill-mask", "*")) == 0
