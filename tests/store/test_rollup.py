"""The roll-up: what it holds is what the trials come to, and it is never the only truth."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permille.analysis.cell_summary import Summary
from permille.analysis.compare import ratio
from permille.analysis.rolled import CELLS, BoundaryReading
from permille.analysis.study_cells import StudyCell, from_trials
from permille.analysis.summaries import summarise
from permille.analysis.trial_sums import Sums
from permille.errors import StoreError
from permille.records.answers import EachInference, Latency, Quality, ScheduleLag
from permille.records.cell import ModelFacts
from permille.records.energy import BOUNDARIES, Boundary
from permille.records.machine import Environment
from permille.records.trial import Stopping, Trial
from permille.store import Store, rollup
from permille.store.rows import columns_of
from permille.store.schema import create
from tests.records import cell, trial

FIGURES = ("energy", "net", "run", "seconds")


def _without_values(found: StudyCell) -> StudyCell:
    lean = msgspec.structs.replace
    return lean(
        found,
        parts={k: lean(v, values=()) for k, v in found.parts.items()},
        summaries={
            boundary: lean(
                summary,
                **{
                    name: figure
                    and lean(
                        figure,
                        values=() if not figure.asked else figure.values,
                        kept=None if name == "seconds" else figure.intervals().packed(),
                    )
                    for name in FIGURES
                    for figure in [getattr(summary, name)]
                },
            )
            for boundary, summary in found.summaries.items()
        },
    )


def _raw(path: Path) -> list[StudyCell]:
    """What the trials themselves come to, as the roll-up has it."""
    with Store(path, readonly=True) as store:
        return [_without_values(c) for c in from_trials(store.trials()).cells]


def _rolled(path: Path) -> list[StudyCell]:
    """What the roll-up alone says: it is an error here that trials had to be read."""
    with closing(sqlite3.connect(path)) as db:
        kept = rollup.newest_rounds(rollup.read(db))
    assert all(one.body is not None and one.fold == CELLS.version for one in kept)
    return [CELLS.unpack(one.body).cell for one in kept if one.body is not None]


@st.composite
def _trials(draw: st.DrawFn) -> list[Trial]:
    """Of several models, machines, sources and outcomes; some with idle, some to be stopped."""
    return [
        trial(
            draw(st.floats(1, 1e6)),
            uid=str(i),
            repeat=i,
            inferences=draw(st.sampled_from([10, 1000])),
            idle_j=draw(st.none() | st.floats(0.1, 10)),
            cell=cell(draw(st.sampled_from(["a", "b"]))),
            source=draw(st.sampled_from(["permille", "codecarbon"])),
            environment=Environment(fingerprint=draw(st.sampled_from(["one", "two"]))),
            status=draw(st.sampled_from(["done", "done", "failed", "invalid"])),
            reason=draw(st.none() | st.sampled_from(["boom", "bang"])),
            stopping=draw(st.none() | st.just(Stopping(precision=0.1, max_repeats=5))),
            facts=ModelFacts(params=draw(st.none() | st.integers(1, 10**12))),
            latency=draw(st.none() | st.just(Latency(p50=0.1, p95=0.2, mean=0.1, n=9))),
        )
        for i in range(draw(st.integers(1, 12)))
    ]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_trials(), st.integers(0, 12))
def test_the_roll_up_is_what_the_trials_come_to(
    tmp_path_factory: pytest.TempPathFactory, trials: Sequence[Trial], cut: int
) -> None:
    path = tmp_path_factory.mktemp("rollup") / "s.db"
    for part in (trials[:cut], trials[cut:]):  # in two goes: the second makes stale, then anew
        with Store(path) as store:
            store.add_many((t, None) for t in part)
    assert _rolled(path) == _raw(path)


def test_two_thousand_trials_are_one_row_with_their_sums(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add_many((trial(30.0 + i % 7, uid=str(i), repeat=i), None) for i in range(2000))
    (found,) = _rolled(path)
    energy = found.energy("compute")
    values = [30.0 + i % 7 for i in range(2000)]
    mean = sum(values) / 2000
    assert energy is not None
    assert energy.n == 2000
    assert energy.mean == pytest.approx(mean, rel=1e-12)
    spread = (sum((v - mean) ** 2 for v in values) / 1999) ** 0.5
    assert energy.sd == pytest.approx(spread, rel=1e-12)
    assert energy.values == ()


def _figures_of(summary: Summary) -> dict[str, Sums]:
    tokens, net_tokens = summary.per_token, summary.net_per_token
    assert tokens is not None
    assert net_tokens is not None
    found = {
        "energy": summary.energy,
        "net": summary.net,
        "run": summary.run,
        "image": summary.per_unit["image"],
        "net image": summary.net_per_unit["image"],
        "output": tokens.output,
        "net output": net_tokens.output,
        "every": tokens.every,
        "net every": net_tokens.every,
    }
    known = {name: sums for name, sums in found.items() if sums is not None}
    assert known.keys() == found.keys()
    return known


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("rerun_precision", [None, 0.5])
def test_the_intervals_over_sessions_are_those_of_the_trials(
    tmp_path: Path, boundary: Boundary, rerun_precision: float | None
) -> None:
    """They are kept, and what a ratio pairs of two cells is kept once for all of their figures."""
    path = tmp_path / "s.db"
    trials = [
        trial(
            (30.0 if model == "a" else 50.0) + repeat % 7 + repeat // 4,
            uid=f"{model}-{repeat}",
            cell=cell(model),
            repeat=repeat,
            idle_j=12.0,
            session=f"session-{repeat % 4}",
            block=repeat,
            machine=f"machine-{repeat % 2}",
            rerun_precision=rerun_precision,
            counts={"tokens_out": 900.0 + repeat, "tokens_in": 77.0, "images": 3.0 + repeat},
        )
        for model in ("a", "b")
        for repeat in range(12)
    ]
    with Store(path) as store:
        store.add_many((one, None) for one in trials)
    with Store(path, readonly=True) as store:
        rolled = [summary for _, summary in store.cells(BoundaryReading(boundary))]
    raw = summarise(trials, boundary)
    for ours, theirs in zip(rolled, raw, strict=True):
        kept, anew = _figures_of(ours), _figures_of(theirs)
        assert {n: s.intervals() for n, s in kept.items()} == {
            n: s.intervals() for n, s in anew.items()
        }
        assert {n: s.spread() for n, s in kept.items()} == {n: s.spread() for n, s in anew.items()}
        assert kept["energy"].session_means() == anew["energy"].session_means()
        assert kept["net"].session_means() == anew["net"].session_means()
        assert kept["energy"].estimate().sessions == 4
        assert kept["energy"].kept is not None
        assert kept["energy"].selection_factor == anew["energy"].selection_factor
    assert ratio(*rolled) == ratio(*raw)
    assert ratio(*rolled).sessions == 4


def test_a_new_trial_is_seen_before_it_is_rolled_up(tmp_path: Path) -> None:
    """A writer that was killed leaves the row stale: readers take the trials."""
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add(trial(36.0))
    store = Store(path)
    store.add(trial(72.0, repeat=1))
    store.close(roll_up=False)
    with Store(path, readonly=True) as reader:
        ((group, found),) = reader.cells(CELLS)
    energy = found.cell.energy("compute")
    assert group.trials == 2
    assert energy is not None
    assert energy.mean == pytest.approx(54.0)
    with Store(path):  # the next writer makes it
        pass
    assert _rolled(path) == _raw(path)


class _Another(type(CELLS)):  # type: ignore[misc]
    version = CELLS.version + 1


def test_a_roll_up_of_another_version_of_the_fold_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add(trial(36.0))
    raw = _raw(path)
    with Store(path, fold=_Another()):
        pass
    with Store(path, readonly=True) as reader:
        ((_, found),) = reader.cells(CELLS)
    assert found.cell == from_trials([trial(36.0)]).cells[0]
    with Store(path):
        pass
    assert _rolled(path) == raw


@pytest.mark.parametrize(
    "change", ["trials = 2", "fold = fold + 1", "body = x'00'", "seal = seal + 1", "study = 'x'"]
)
def test_a_damaged_roll_up_is_said_and_the_trials_are_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add(trial(36.0))
        store.add(trial(36.0, model="other"))
    raw = _raw(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE rollup SET {change} WHERE cell = 'cell-small'")
    damage: list[str] = []
    with Store(path, readonly=True, damage=damage) as reader:
        found = [rolled.cell for _, rolled in reader.cells(CELLS)]
    assert [_without_values(cell) for cell in found] == raw
    assert "roll-up" in damage[0]
    with Store(path, readonly=True) as reader, pytest.raises(StoreError, match="roll-up"):
        list(reader.cells(CELLS))


def _forged(packed: object, figure: float) -> object:
    """A packed aggregate with this in the place of every number of its kind."""
    if isinstance(packed, list):
        return [_forged(one, figure) for one in packed]
    if isinstance(packed, dict):
        return {name: _forged(one, figure) for name, one in packed.items()}
    return figure if type(packed) is type(figure) else packed


def _with_forged_figures(body: bytes, figure: float) -> bytes:
    packed = msgspec.msgpack.decode(body)
    return msgspec.msgpack.encode(packed | {"distinct": _forged(packed["distinct"], figure)})


@pytest.mark.parametrize("figure", [math.nan, math.inf, -1.0, 1e300, -1, 0])
def test_figures_of_a_roll_up_that_cannot_be_are_computed_from_the_trials(
    tmp_path: Path, figure: float
) -> None:
    """Who hands over a store may have written anything into it, with seals that fit."""
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add_many((one, None) for one in _in_sessions(6))
    honest = _raw(path)
    with Store(path) as store, store._transaction():
        forged = [
            (group, _with_forged_figures(body, figure))
            for group, body in rollup.packed(store._db, CELLS.version)
        ]
        rollup.keep(store._db, forged, CELLS.version)
    with Store(path, readonly=True) as reader:
        assert [_without_values(rolled.cell) for _, rolled in reader.cells(CELLS)] == honest
        of_one = [summary for _, summary in reader.cells(BoundaryReading("node"))]
    assert [summary.energy for summary in of_one] != []
    assert all(summary.energy and math.isfinite(summary.energy.mean) for summary in of_one)


def _edited(path: Path, edit: Callable[[Summary], Summary]) -> None:
    """Edit every summary of a store's roll-up, with seals that fit."""
    with Store(path) as store, store._transaction():
        forged = []
        for group, body in rollup.packed(store._db, CELLS.version):
            packed = msgspec.msgpack.decode(body)
            packed["distinct"] = [
                [edit(msgspec.convert(summary, Summary)), places]
                for summary, places in packed["distinct"]
            ]
            forged.append((group, msgspec.msgpack.encode(packed)))
        rollup.keep(store._db, forged, CELLS.version)


def _energy_with(**changed: object) -> Callable[[Summary], Summary]:
    def edit(summary: Summary) -> Summary:
        assert summary.energy is not None
        energy = msgspec.structs.replace(summary.energy, **changed)
        return msgspec.structs.replace(summary, energy=energy)

    return edit


@pytest.mark.parametrize(
    "blocks", [(30.0, 31.0), (30.0, math.nan, 1.0, 1.0, 1.0, 1.0), (-1.0, *[30.0] * 5)]
)
def test_blocks_of_a_roll_up_that_do_not_fit_are_computed_from_the_trials(
    tmp_path: Path, blocks: tuple[float, ...]
) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add_many((one, None) for one in _in_sessions(6))
    honest = _raw(path)
    _edited(path, _energy_with(block_values=blocks))
    with Store(path, readonly=True) as reader:
        assert [_without_values(rolled.cell) for _, rolled in reader.cells(CELLS)] == honest


def test_an_interval_of_a_roll_up_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add_many((one, None) for one in _in_sessions(6))
    _edited(path, _energy_with(kept=msgspec.msgpack.encode([math.nan] * 6)))
    with Store(path, readonly=True) as reader, pytest.raises(StoreError, match="another program"):
        [rolled.cell.summary.energy.estimate() for _, rolled in reader.cells(CELLS)]  # type: ignore[union-attr]


def _in_sessions(number: int) -> list[Trial]:
    return [
        trial(30.0 + i, uid=str(i), repeat=i, session=f"s{i % 2}", block=i) for i in range(number)
    ]


GOLDEN = (18, "f9df171d979206b2")


def test_the_version_of_the_fold_goes_up_with_what_trials_come_to() -> None:
    """Stores keep what the fold made, by its version. If this fails, the same trials come to
    something else: put ``CellFold.version`` up by one, and that number and the digest here."""
    trials = [
        trial(
            30.0 + i * i,
            repeat=i,
            idle_j=2.0 + i,
            reason="boom" if i == 4 else None,
            status="failed" if i == 4 else "done",
            latency=Latency(p50=0.1 * i, p95=0.2, mean=0.1, n=9),
            quality=Quality(metric="accuracy", value=0.5 + i / 100, n=100, standard_error=0.05),
            each=EachInference(n=10, refused=1, p50_j=0.1, p95_j=0.2),
            schedule_lag=ScheduleLag(p50=0.001, p95=0.01 * i, most=0.3) if i else None,
            notes=(f"note {i}",),
            stopping=Stopping(precision=0.1, max_repeats=9) if i % 2 else None,
        )
        for i in range(6)
    ]
    digest = hashlib.sha256(_rounded(CELLS.pack(CELLS.of(trials)))).hexdigest()[:16]
    assert (CELLS.version, digest) == GOLDEN


def _rounded(body: bytes) -> bytes:
    """Figures to twelve digits: the last ones are another machine's."""

    def go(value: object) -> object:
        if isinstance(value, float):
            return f"{value:.12g}"
        if isinstance(value, dict):
            return {name: go(inner) for name, inner in value.items()}
        if isinstance(value, bytes) and value:  # packed intervals
            return go(msgspec.msgpack.decode(value))
        return [go(inner) for inner in value] if isinstance(value, list) else value

    return msgspec.json.encode(go(msgspec.msgpack.decode(body)))


def test_only_the_newest_round_counts(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add_many([(trial(36.0), None), (trial(99.0, repeat=1, round=1), None)])
    (found,) = _rolled(path)
    energy = found.energy("compute")
    assert energy is not None
    assert (energy.n, energy.mean) == (1, 99.0)


def test_an_older_store_gets_its_roll_up_from_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    trials = [trial(36.0 + i, repeat=i) for i in range(3)]
    with closing(sqlite3.connect(path)) as db:
        create(db, to=2)
        for one in trials:
            body = msgspec.json.encode(one)
            row = {**columns_of(one), "body": body, "crc": zlib.crc32(body)}
            names = ", ".join(row)
            db.execute(
                f"INSERT INTO trial ({names}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
        db.commit()
    raw = _raw(path)
    assert raw[0].summary.done == 3
    with Store(path):
        pass
    assert _rolled(path) == raw


def test_what_is_in_doubt_is_read_from_damaged_trials_only_to_say_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add(trial(36.0))
        store.add(trial(36.0, model="other"))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE trial SET body = x'7b7d' WHERE model = 'small'")
    with Store(path, fold=_Another()):  # makes what it can, and does not fail
        pass
    with Store(path, readonly=True) as reader, pytest.raises(StoreError, match="damaged"):
        list(reader.cells(_Another()))
    damage: list[str] = []
    with Store(path, readonly=True, damage=damage) as reader:
        ((group, _),) = reader.cells(_Another())  # the other is not hidden
    assert group.cell == "cell-other"
    assert "small-0-36.0" in damage[0]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("rolled", [True, False])
def test_one_boundary_is_read_as_it_is_among_all(
    tmp_path: Path, boundary: Boundary, rolled: bool
) -> None:
    path = tmp_path / "s.db"
    store = Store(path)
    trials = [trial(30.0 + i, model=f"m{i % 2}", repeat=i, idle_j=2.0) for i in range(6)]
    store.add_many((one, None) for one in trials)
    store.close(roll_up=rolled)
    with Store(path, readonly=True) as reader:
        found = [summary for _, summary in reader.cells(BoundaryReading(boundary))]
        cells = [rolled.cell for _, rolled in reader.cells(CELLS)]
    metered: Boundary = "node" if boundary == "facility" else boundary
    expected = [cell.summaries[metered] for cell in cells]
    assert found == [msgspec.structs.replace(one, boundary=boundary) for one in expected]
    assert len(found) == 2
