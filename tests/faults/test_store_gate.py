"""Nothing unreadable is written, and what an older permille let through hides nothing else."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from permille.errors import StoreError
from permille.records.answers import Latency, Quality
from permille.records.cell import ModelFacts
from permille.records.trial import Protocol, Stopping, Trial
from permille.store import Raw, Store, refusal
from permille.store.rows import columns_of
from permille.store.schema import create
from permille.study.run.trial import keep
from tests.conftest import Permille
from tests.faults.conftest import MakeStudy
from tests.older import rewrite
from tests.powercap import Driver
from tests.records import cell, joules, trial

pytestmark = pytest.mark.slow

HUGE = 2**64


def _energy(value: float) -> Trial:
    phases = {
        "query": msgspec.structs.replace(trial().phases["query"], domains={"c": joules(value)})
    }
    return trial(phases=phases)


UNKEEPABLE: dict[str, Callable[[], Trial]] = {
    "quality": lambda: trial(quality=Quality(metric="accuracy", value=math.nan, n=9)),
    "others": lambda: trial(quality=Quality(metric="f1", value=1.0, n=9, others={"a": math.nan})),
    "latency": lambda: trial(latency=Latency(p50=math.inf, p95=1.0, mean=1.0, n=9)),
    "optional": lambda: trial(latency=Latency(p50=1.0, p95=1.0, mean=1.0, n=9, p99=math.nan)),
    "joules": lambda: _energy(math.nan),
    "infinite joules": lambda: _energy(math.inf),
    "gigantic joules": lambda: _energy(1e200),
    "counts": lambda: trial(counts={"tokens_out": -math.inf}),
    "settings": lambda: trial(cell=cell(settings={"a": {"b": [math.nan]}})),
    "seed": lambda: trial(protocol=Protocol(inferences=1, seed=HUGE)),
    "very large seed": lambda: trial(protocol=Protocol(inferences=1, seed=10**400)),
    "params": lambda: trial(facts=ModelFacts(params=HUGE)),
    "fractional params": lambda: trial(facts=ModelFacts(params=1.5)),  # type: ignore[arg-type]
    "batch size": lambda: trial(protocol=Protocol(inferences=1, batch_size=-1)),
    "large batch": lambda: trial(protocol=Protocol(inferences=1, batch_size=10**25)),
    "repeat": lambda: trial(repeat=2**63),
    "block": lambda: trial(block=-1),
    "no text": lambda: trial(study="\ud800"),
    "no JSON": lambda: trial(cell=cell(settings={"a": object()})),
}


@pytest.mark.parametrize("what", UNKEEPABLE)
def test_what_could_not_be_read_back_is_refused_and_changes_nothing(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add(trial(1.0))
        with pytest.raises(StoreError, match="is not stored"):
            store.add_many([(trial(2.0, repeat=1), None), (UNKEEPABLE[what](), None)])
    with Store(path, readonly=True) as store:
        assert list(store.trials()) == [trial(1.0)]


@pytest.mark.parametrize("what", ["quality", "joules", "params", "latency"])
def test_a_run_keeps_it_as_failed_with_the_reason(tmp_path: Path, what: str) -> None:
    bad = UNKEEPABLE[what]()
    good = trial(5.0, repeat=1)
    with Store(tmp_path / "s.db") as store:
        kept = keep(store, bad, Raw(durations_ns=(HUGE * HUGE,)))
        assert kept.status == "failed"
        assert "cannot be stored" in (kept.reason or "")
        assert keep(store, good, Raw()) == good
        assert list(store.trials()) == [kept, good]


def test_what_a_trial_may_hold_is_kept_as_it_is() -> None:
    settings: dict[str, Any] = {"words": ("a", "b"), "deep": {"x": [1, 2.5, None, True]}}
    assert refusal(trial(cell=cell(settings=settings), counts={"images": 0.0})) is None


def _poisoned(path: Path) -> None:
    """As an older permille left it: a not-a-number in a body of its schema is null."""
    import zlib

    db = sqlite3.connect(path)
    create(db, to=3)
    trials = [
        trial(
            float(i + 1),
            repeat=i,
            quality=Quality(metric="a", value=math.nan if i == 1 else 0.5, n=4),
        )
        for i in range(3)
    ]
    for one in trials:
        body = msgspec.json.encode(one)
        row = {**columns_of(one), "body": body, "crc": zlib.crc32(body)}
        db.execute(
            f"INSERT INTO trial ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            tuple(row.values()),
        )
    db.commit()
    db.close()


@pytest.mark.parametrize("migrated", [False, True])
def test_a_poisoned_trial_of_an_older_store_is_named_and_hides_no_other(
    permille: Permille, tmp_path: Path, migrated: bool
) -> None:
    path = tmp_path / "permille.db"
    _poisoned(path)
    if migrated:
        with Store(path):
            pass
    found = permille("results", "--json", code=1)
    assert found.json["rows"][0]["trials"]["done"] == 2
    assert "small-1-2.0" in found.err
    assert "small-1-2.0" in found.json["damage"][0]
    assert "small-1-2.0" in permille("export", "csv", "out.csv", code=1).err
    page = permille("export", "html", "out.html", code=1)
    assert "small-1-2.0" in page.err
    assert "small-1-2.0" in permille("store", "check", code=1).out
    permille("store", "repair", code=1)
    assert permille("results", "--json").json["rows"][0]["trials"]["done"] == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (_energy(-5.0), "phases.query.c.energy_j is -5, below 0"),
        (
            trial(stopping=Stopping(precision=1.5, max_repeats=9)),
            "stopping.precision is 1.5, not between 0 and 1",
        ),
        (_energy(1e300), "phases.query.domains.c.energy_j is 1e+300"),
        (
            trial(latency=Latency(p50=1e300, p95=1e300, mean=1e300, n=9)),
            "latency.mean is 1e+300",
        ),
        (trial(counts={"tokens_out": 1e200}), "counts.tokens_out is 1e+200"),
        (trial(counts={"images": 1e-300}), "counts.images is 1e-300, too small to divide by"),
        (_energy(1e-300), "phases.query.c.energy_j is 1e-300, too small to divide by"),
    ],
)
def test_a_figure_of_a_stored_trial_that_cannot_be_is_one_line_and_hides_no_other(
    permille: Permille, tmp_path: Path, bad: Trial, reason: str
) -> None:
    path = tmp_path / "permille.db"
    good, replaced = trial(1.0, model="other"), trial(2.0)
    with Store(path) as store:
        store.add_many([(good, None), (replaced, None)])
    rewrite(path, 2, msgspec.structs.replace(bad, uid=replaced.uid))
    found = permille("results", "--json", code=1)
    assert [row["model"] for row in found.json["rows"]] == ["other"]
    assert f"trial {replaced.uid}: {reason}" in found.json["damage"][0]
    assert "Traceback" not in found.err
    assert reason in permille("store", "check", code=1).out
    permille("store", "repair", code=1)
    assert len(permille("results", "--json").json["rows"]) == 1


def test_fewer_repeats_than_the_rule_needs_end_no_reader(
    permille: Permille, tmp_path: Path
) -> None:
    with Store(tmp_path / "permille.db") as store:
        for repeat in range(2):
            rule = Stopping(precision=0.1, max_repeats=1)
            store.add(trial(1.0 + repeat, repeat=repeat, stopping=rule))
    assert permille("results", "--json").json["rows"][0]["trials"]["done"] == 2


@pytest.mark.parametrize("batch_size", ["-1", "0", "1e25", str(10**25), "1.5"])
def test_an_import_of_a_senseless_batch_is_left_out_with_the_reason(
    permille: Permille, tmp_path: Path, batch_size: str
) -> None:
    energy = '{"unit": "kWh", "cpu": 1e-5, "ram": 1e-6, "gpu": null, "total": 1.1e-5}'
    times = '{"unit": "s", "count": 10, "mean": 0.1, "p50": 0.1, "p95": 0.1}'

    def report(size: str) -> str:
        return (
            '{"config": {"name": "a", "scenario": {"name": "inference", "input_shapes":'
            f' {{"batch_size": {size}}}}}, "backend": {{"name": "pytorch", "model": "m",'
            ' "task": "text-classification"}, "environment": {}}, "report": {"forward":'
            f' {{"latency": {times}, "energy": {energy}}}}}}}'
        )

    (tmp_path / "bad.json").write_text(report(batch_size))
    (tmp_path / "good.json").write_text(report("4"))
    bad = permille("import", "optimum-benchmark", "bad.json", code=2)
    assert "Traceback" not in bad.err
    permille("import", "optimum-benchmark", "good.json")
    assert len(permille("results", "--json").json["rows"]) == 1


@pytest.mark.parametrize(
    "line",
    [f"seed = {HUGE}", f"seed = -{HUGE}", f"params = {HUGE}", "params = -1", f"extra = {HUGE}",
     "extra = nan", "extra = -inf"],
)  # fmt: skip
def test_a_number_that_no_store_can_keep_is_refused_by_study_check(
    permille: Permille, powercap: Driver, make_study: MakeStudy, line: str
) -> None:
    path = make_study("good")
    text = path.read_text()
    table = "[study]\n" if line.startswith("seed") else "[[models]]\n"
    path.write_text(text.replace(table, f"{table}{line}\n", 1))
    done = permille("study", "check", str(path), code=2)
    assert len(done.err.strip().splitlines()) == 1
    assert "64 bits" in done.err or "finite" in done.err or "params" in done.err


def test_a_weights_header_of_senseless_shapes_is_one_line(tmp_path: Path) -> None:
    from permille.weights import read
    from permille.weights.header import UnreadableWeightsError

    path = tmp_path / "model.safetensors"
    for shape in ([2.5, 2], [-1], [10**30], [2**40, 2**40], ["4"], [True], [[4]]):
        header = json.dumps(
            {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
        ).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(UnreadableWeightsError, match="damaged"):
            read([path], ".safetensors")
