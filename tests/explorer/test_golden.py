"""Golden vectors: the page's own functions, run in Node, give what the command line's do."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from permille.analysis import (
    answer,
    budget,
    comparable,
    compare,
    goodput,
    intervals,
    pareto,
    parity,
    slo,
)
from permille.analysis.cell_summary import Summary
from permille.analysis.estimates import SessionInterval, estimate_of
from permille.analysis.evidence_words import over_sessions
from permille.analysis.rows import row
from permille.analysis.slo import TIMES
from permille.analysis.study_cells import from_trials
from permille.analysis.trial_sums import Sums
from permille.errors import CompareError
from permille.explorer import answer_times, document
from permille.explorer.cells import Shown
from permille.metrics import scored
from permille.records.answers import AnswerTimes, ScheduleLag
from permille.records.energy import BOUNDARIES, Estimate, Phase, Refused
from permille.records.machine import Environment
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Stopping, Trial
from permille.tabular import as_csv
from permille.units import MOST_TYPED, format_energy_kwh
from tests.conftest import PATIENCE_S
from tests.explorer import sweep
from tests.records import ESTIMATED, cell, joules, trial

pytestmark = pytest.mark.slow

WEB = Path(__file__).parents[2] / "src/permille/explorer/web"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not on this machine's PATH")

STOPPED = Stopping(precision=0.05, max_repeats=10)
STOPPED_AT = [(0, 0), (1, 0), (1, 1)]
IDS = [str(i) for i in range(40)]
G_PER_KWH, PUE = 371.5, 1.37
SETTINGS: list[dict[str, Any]] = [
    {"boundary": b, "net": net, "pue": PUE, "intensity": G_PER_KWH, "unit": "kwh"}
    for b in BOUNDARIES
    for net in (False, True)
]


def phases(energy_j: float, idle_j: float | None, **changed: Any) -> dict[str, Phase]:
    """A run on a CPU, its memory and a GPU, each with an accuracy and edges of its own."""
    plain: dict[str, Any] = {"accuracy_low": 0.03, "accuracy_high": 0.05, "edge_j": energy_j / 900}

    def at(joule: float, inferences: int | None) -> Phase:
        domains = {
            "cpu:0": joules(joule, **(plain | changed)),
            "dram:0": joules(joule / 7, "dram", **(plain | changed)),
            "gpu:0": joules(joule * 2, "gpu", **(plain | changed)),
        }
        return Phase(seconds=10.0, domains=domains, inferences=inferences)

    found = {"query": at(energy_j, 1000)}
    return found if idle_j is None else found | {"idle": at(idle_j, None)}


def repeats(model: str, energies: list[float], *, idle_j: float | None = 3.0, right: int = 30,
            metric: str = "accuracy", meter: dict[str, Any] | None = None,
            **changed: Any) -> list[Trial]:  # fmt: skip
    quality = scored(metric, [1.0] * right + [0.0] * (40 - right), IDS)
    return [
        trial(
            model=model, repeat=i, quality=quality, phases=phases(e, idle_j, **(meter or {})),
            **({"cell": cell(model)} | changed),
        )
        for i, e in enumerate(energies)
    ]  # fmt: skip


def in_blocks(
    model: str, energies: list[float], places: list[tuple[int, int]], **changed: Any
) -> list[Trial]:
    return [
        msgspec.structs.replace(one, session=f"s{session}", block=block, **changed)
        for one, (session, block) in zip(repeats(model, energies), places, strict=True)
    ]


def on_machines(model: str, energies: list[float]) -> list[Trial]:
    """Two trials in each of three sessions, two of which are of one machine."""
    places = [(session, block) for session in range(10, 13) for block in range(2)]
    return [
        msgspec.structs.replace(one, machine="b" if one.session == "s12" else "a")
        for one in in_blocks(model, energies, places)
    ]


def all_trials() -> list[Trial]:
    """What the page and the command line have disagreed about, and its neighbours."""
    estimate = {"provenance": ESTIMATED, "meter": "estimate", "accuracy_high": 0.6}
    general = cell("llm", category="general-purpose")
    fixed = [
        *repeats("llm", [200.0, 206.0, 198.0], cell=general, right=31),
        *repeats("small", [20.0, 20.4, 19.7]),
        *repeats("one", [50.0]),
        *repeats("still", [30.0, 30.0], right=12),
        *repeats("cold, stopped", [125.0, 100.1, 100.6, 100.2, 101.1], stopping=STOPPED),
        *repeats("stopped", [50.0, 50.3, 49.8], stopping=STOPPED, right=39),
        *repeats("noisy", [1.0, 900.0]),
        *repeats("below idle", [10.0, 10.2], idle_j=25.0),
        *repeats("no idle", [40.0, 41.0], idle_j=None),
        *repeats("estimated", [60.0, 61.0], meter=estimate),
        *repeats("modelled", [62.0, 61.0], meter={"provenance": Provenance.MODELLED}),
        *repeats("replica", [70.0, 71.0], cell=cell("replica", settings={"weights": "replica"})),
        *repeats("far", [8.0, 8.1], environment=Environment(fingerprint="another")),
        *repeats("words", [5.0, 5.1], metric="wer", right=4),
        *repeats("more words", [6.0, 6.1], metric="wer", right=38),
        *repeats("same", [44.0, 44.0], cell=cell("same", id="y", dataset="y")),
        *repeats("other", [22.0, 22.5], cell=cell("other", id="z", dataset="y")),
        *in_blocks("llm in blocks", [200.0, 206.0, 190.0, 215.0], [(0, 0), (0, 1), (1, 0), (1, 1)]),
        *in_blocks("in blocks", [20.0, 20.4, 19.7, 21.0], [(0, 0), (0, 1), (1, 0), (1, 1)]),
        *in_blocks("one session", [30.0, 31.0, 29.0], [(0, 0), (0, 1), (0, 2)]),
        *in_blocks(
            "until precise",
            [25.0, 25.4, 24.9],
            [(0, 0), (1, 0), (2, 0)],
            rerun_precision=0.3,
        ),
        # Of the sessions of the two above: what these share is not independent.
        *in_blocks("also one session", [15.0, 15.9, 14.8], [(0, 0), (0, 1), (0, 2)]),
        *in_blocks("as precise", [35.0, 35.9, 34.2], [(0, 0), (1, 0), (2, 0)]),
        *on_machines("llm on machines", [210.0, 212.0, 190.0, 197.0, 205.0, 201.0]),
        *on_machines("on machines", [21.0, 20.4, 19.7, 21.0, 20.1, 22.0]),
        *in_blocks("partly", [40.0, 44.0], [(0, 1), (2, 0)]),
        *in_blocks("stopped in sessions", [23.0, 23.5, 24.1], STOPPED_AT, stopping=STOPPED),
        *in_blocks("also stopped", [31.0, 30.5, 31.2], STOPPED_AT, stopping=STOPPED),
        *in_blocks("elsewhere", [27.0, 27.8, 26.1], [(20, 0), (20, 1), (21, 0)]),
        *repeats("little power", [12.0, 12.2], meter={"offset_j": 3.0}),
        *repeats("much power", [900.0, 905.0], meter={"offset_j": 30.0, "accuracy_high": 0.06}),
        trial(model="failed", status="failed", reason="no memory", phases={}),
    ]
    for size in (1, 8):
        of = cell(f"imported {size}", settings={"batch_size": size})
        fixed += repeats(f"imported {size}", [33.0, 35.0 + size], source="ml-energy", cell=of)
    return fixed


PROMISES = [
    *((slo.Limit(name="ttft_p95", most=most),) for most in (0.05, 0.15, 0.505, 1.0, 10.0)),
    (slo.Limit(name="tpot_p95", most=0.05), slo.Limit(name="error_rate", most=0.01)),
    (slo.Limit(name="ttft_p95", most=1.0), slo.Limit(name="error_rate", most=0.01)),
    (slo.Limit(name="ttft_p95", most=1.0), slo.Limit(name="error_rate", most=0.001)),
    (slo.Limit(name="error_rate", most=0.02),),
    (slo.Limit(name="latency_p99", most=2.0),),
    (slo.Limit(name="ttft_p99", most=1.5), slo.Limit(name="latency_p50", most=0.3)),
]
"""What is promised of the sweep: kept by none, some and all, and undecided by single figures."""


def loaded() -> list[Trial]:
    """A sweep with loads whose trials cannot tell, each for another reason."""
    found = [t for t in sweep.trials() if t.cell.backend == "endpoint"]
    found += sweep.load(64, 119.0, 0.4, counts={"tokens_out": 9.0, "failed": 30.0})
    found += sweep.load(128, 80.0, 0.2)[:1]
    found += sweep.load(256, 90.0, 0.2, protocol=Protocol(inferences=10))
    found += sweep.load(512, 150.5, 0.3, idle_j=None)
    # Sent so late that it may decide: a broken promise, and one of a first token that is kept.
    found += sweep.load(1024, 70.0, 0.6, schedule_lag=ScheduleLag(p50=0.0, p95=0.5, most=0.9))
    return found


def overloads(clients: int) -> list[Trial]:
    """Trials in which the server could not keep up."""
    return sweep.load(
        clients, 80.0, 0.2, status="failed", reason="?", failure_kind="overload", phases={}
    )


def timed_trial(
    seconds: float, failed: int, first_ns: list[int], n: int | None = None
) -> goodput.TimedTrial:
    """A trial whose answers came in one piece, so that only the first token was waited for. ``n``:
    of all its answers, of which those here were kept."""
    one = trial(inferences=n or len(first_ns), counts={"failed": float(failed)})
    query = msgspec.structs.replace(one.phases["query"], seconds=seconds)
    one = msgspec.structs.replace(one, phases={"query": query}, uid=f"t{seconds}")
    times = AnswerTimes(
        n=n or len(first_ns),
        first_ns=tuple(first_ns),
        token_ns=(0,) * len(first_ns),
        whole_ns=tuple(2 * first for first in first_ns),
    )
    return goodput.TimedTrial(one, times)


SPREAD = [
    timed_trial(10.0, 0, [300_000_000, 300_000_001, 310_000_000, 1_000_000_000, 999]),
    timed_trial(12.5, 3, [299_999_999, 150_123_456, 150_123_457, 2_000_000_000]),
    timed_trial(9.0, 1, [1_004_999_999, 1_000_000_001, 305_000_000]),
]
SAMPLED = [
    timed_trial(8.0, 40, [300_000_000, 300_000_001, 300_000_002], n=1000),
    timed_trial(8.5, 41, [300_000_000, 300_000_001, 900_000_000], n=1001),
]
UNKNOWN = goodput.TimedTrial(SPREAD[0].trial, Refused(reason="a trial has no times"))
SILENT = goodput.TimedTrial(msgspec.structs.replace(SPREAD[0].trial, phases={}), SPREAD[0].times)
ANSWERS = [SPREAD, SPREAD[:1], SAMPLED, [SPREAD[0], UNKNOWN], [SILENT], []]
LIMITS = [1e-7, 9.99e-7, 0.151, 0.3, 0.301, 0.305, 0.31, 0.6, 1.0, 1.01, 2.0, 4.0]
"""In seconds, with three significant digits at most, as people choose them."""


def shown() -> list[Shown]:
    return [
        Shown(id=f"c{i}", origin="store", cell=c)
        for i, c in enumerate(from_trials(all_trials()).cells)
    ]


def summary_of(of: Shown, boundary: str, *, net: bool) -> Summary:
    found = of.cell.summaries["node" if boundary == "facility" else boundary]
    found = msgspec.structs.replace(found, boundary=boundary)
    return msgspec.structs.replace(found, energy=found.net) if net else found


def means_of(pairs: list[tuple[Shown, Shown]]) -> list[list[int]]:
    """The numbers of pairs that are averaged: two or three of those in blocks, whose sessions are
    the same, other ones, or partly the same; some of all these."""
    blocks = [
        number
        for number, (a, b) in enumerate(pairs)
        if all(of.cell.summary.energy and of.cell.summary.energy.places for of in (a, b))
    ]
    twos = itertools.islice(itertools.combinations(blocks, 2), 0, None, 3)
    threes = itertools.islice(itertools.combinations(blocks, 3), 0, None, 53)
    return [list(of) for of in (*twos, *threes, blocks)]


def groups_of(cells: list[Shown]) -> list[tuple[Shown, ...]]:
    """Two or three cells, of the same sessions, of other ones or of none."""
    known = [of for of in cells if of.cell.summary.energy and of.cell.summary.energy.spread().high]
    threes = itertools.islice(itertools.combinations(known, 3), 0, None, 17)
    return [*itertools.combinations(known, 2), *threes]


def dealt(cases: list[Any]) -> list[list[Any]]:
    """A share of the cases for each setting: what they are of is the same in each, and thousands
    in all eight took most of a minute."""
    return [cases[number :: len(SETTINGS)] for number in range(len(SETTINGS))]


def same(found: dict[str, Any] | None, said: dict[str, float | None]) -> None:
    if found is None:
        assert said["value"] is None
        return
    assert found.get("sessions") == said.get("sessions")
    assert found.get("machines") == said.get("machines")
    for key in ("value", "low", "high", "rerunLow", "rerunHigh"):
        expected = said.get(key)
        if expected is None:
            assert found.get(key) is None
        else:
            # Not pytest.approx, which took a quarter of the time of so many figures.
            assert math.isclose(found[key], expected, rel_tol=1e-9, abs_tol=1e-15), (found, said)


def printed(interval: SessionInterval) -> dict[str, float | None]:
    """What ``results --json`` prints, in the page's form."""
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "sessions": interval.sessions,
        "machines": interval.machines,
        "rerunLow": None if interval.rerun is None else interval.rerun.low,
        "rerunHigh": None if interval.rerun is None else interval.rerun.high,
    }


def as_dict(estimate: Estimate) -> dict[str, float | None]:
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "sessions": estimate.sessions,
        "machines": estimate.machines,
        "rerunLow": estimate.rerun_low,
        "rerunHigh": estimate.rerun_high,
    }


def sent(cells: list[Shown]) -> Any:
    return msgspec.to_builtins(document.document(cells, store="golden"))


@needs_node
def test_the_pages_functions_give_the_command_lines_figures(
    tmp_path: Path,
) -> None:
    cells = shown()
    loads = [
        Shown(id=f"l{i}", origin="store", cell=c) for i, c in enumerate(from_trials(loaded()).cells)
    ]
    hopeless = [
        Shown(id=f"o{i}", origin="store", cell=c)
        for i, c in enumerate(from_trials([*overloads(7), *overloads(9)]).cells)
    ]
    pairs = [
        (a, b)
        for a, b in itertools.permutations(cells, 2)
        if comparable.place(a.cell.summary) == comparable.place(b.cell.summary)
    ]
    means, groups = dealt(means_of(pairs)), dealt(groups_of(cells))
    cases = tmp_path / "cases.json"
    cases.write_text(
        json.dumps(
            {
                "document": sent(cells),
                "settings": SETTINGS,
                "pairs": [(a.id, b.id) for a, b in pairs],
                "means": means,
                "groups": [[[of.id for of in group] for group in share] for share in groups],
                "load": {
                    "document": sent(loads),
                    "promises": [
                        [{"name": limit.name, "most": limit.most} for limit in promise]
                        for promise in PROMISES
                    ],
                },
                "overloads": {
                    "document": sent(hopeless),
                    "promise": [{"name": "ttft_p95", "most": 1.0}],
                },
                "answers": [answer_times.shape(timed) for timed in ANSWERS],
                "limits": LIMITS,
            }
        ),
        encoding="utf-8",
    )
    script = Path(__file__).with_name("golden.mjs")
    command = [str(NODE), str(script), str(WEB), str(cases)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    for number, (setting, page) in enumerate(zip(SETTINGS, result["figures"], strict=True)):
        _check(cells, setting, page)
        _check_ratios(pairs, means[number], setting, page)
        _check_means(cells, groups[number], setting, page)
    asked = itertools.product(SETTINGS, PROMISES)
    for (setting, promise), picked in zip(asked, result["choices"], strict=True):
        _check_choice(loads, setting, promise, picked)
    _check_choice(
        hopeless, SETTINGS[0], (slo.Limit(name="ttft_p95", most=1.0),), result["hopeless"]
    )
    of_goodput = itertools.product(ANSWERS, TIMES, LIMITS)
    for (timed, time, within), good in zip(of_goodput, result["goodput"], strict=True):
        said_good = goodput.goodput(timed, {time: within}, "compute")
        for figure, of_said in ((good["perS"], said_good.per_s), (good["share"], said_good.share)):
            same(figure, as_dict(of_said) if of_said else {"value": None})
        if said_good.per_s is None:
            assert good["reason"] == said_good.reason


def in_node(script: str) -> Any:
    """What a script finds with these of the page's modules."""
    names = ["figures", "format", "records", "say", "ticks"]
    modules = "".join(f'import * as {n} from "{WEB.as_uri()}/{n}.js";' for n in names)
    # Bounded memory: ticks that never end are an error here, not a machine that swaps.
    command = [str(NODE), "--max-old-space-size=64", "--input-type=module", "--eval"]
    command.append(f"{modules} process.stdout.write(JSON.stringify({script}));")
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@needs_node
def test_what_the_address_asks_for_gives_every_axis_an_end() -> None:
    ticks = in_node(
        "[[1, Infinity], [0, 10], [-1, 1], [1, NaN], [0.5, 20]]"
        ".map(([low, high]) => ticks.decades(low, high, 9))"
    )
    assert ticks == [[], [], [], [], [0.5, 1, 2, 5, 10, 20]]
    numbers = in_node(
        '[" ", "", "Infinity", "1e400", "1e308", "-1", "x", "0", "2.5"]'
        ".map((text) => format.numberIn(text, 0, format.MOST))"
    )
    assert in_node("format.MOST") == MOST_TYPED
    assert numbers == [None] * 7 + [0, 2.5]


@needs_node
def test_the_pages_csv_is_as_safe_as_the_servers() -> None:
    signs = ["=", "+", "-", "@", "\uff1d", "\ufe62", "\uff0d", "\uff20", "\u2212", "a=", "", "1"]
    before = ["", " ", "\u00a0", "\u200b", "\ufeff", "\x00", "\t", "\r", "\n", "\u202e \u3000"]
    rows = [{"a": f"{b}{sign}cmd", "b": 'of "two", words'} for b in before for sign in signs]
    assert in_node(f"records.csv({json.dumps(rows)})") == as_csv(rows)


@needs_node
def test_the_power_of_a_span_is_of_the_stretches_within_it() -> None:
    trace = [[0, 10.0], [2, 10.0], [4, 30.0], [6, 90.0], [8, 90.0]]
    spans = [(0, 5), (5, 10), (6, 8), (6.5, 7.5), (5.5, 9)]
    means = in_node(
        f"{json.dumps(spans)}.map(([from, to]) => figures.meanPower({trace}, from, to))"
    )
    assert means == [10.0, 90.0, 90.0, None, 90.0]


@needs_node
def test_parity_has_the_ends_that_the_command_line_prints() -> None:
    asked = [(1e4, 1e-6, low, 2e-6) for low in (5e-7, 0.0, -1e-7, 1e-320)] + [
        (1.0, 1.0, None, None)
    ]
    ends = [
        {key: figure or None for key, figure in (("value", v), ("low", low), ("high", high))}
        for _, v, low, high in asked
    ]
    found = in_node(
        f"{json.dumps([spent for spent, *_ in asked])}.map((training, i) =>"
        f" figures.inferencesToParity(training, {json.dumps(ends)}[i]))"
        # JSON would make null of them.
        ".map((ends) => ({ ...ends, infinite: Object.values(ends).includes(Infinity) }))"
    )
    for page, (spent, value, low, high) in zip(found, asked, strict=True):
        said = parity.inferences(spent, Estimate(value=value, low=low, high=high))
        ends_said = {"value": said.value, "from": said.low, "to": said.high}
        assert page == ends_said | {"infinite": False}


def _check_choice(
    cells: list[Shown], setting: dict[str, Any], promise: tuple[slo.Limit, ...],
    picked: dict[str, Any],
) -> None:  # fmt: skip
    """The page picks the operating point that ``permille slo`` does, for the same reasons."""
    boundary, net = setting["boundary"], setting["net"]
    choice = slo.choose([summary_of(of, boundary, net=net) for of in cells], promise)
    assert [p["model"] for p in picked["points"]] == [p.name for p in choice.points]
    for point, p in zip(picked["points"], choice.points, strict=True):
        assert (point["meets"], point["keeps"]) == (p.meets, [c.keeps for c in p.checks])
        for figure, of_check in zip(point["figures"], p.checks, strict=True):
            same(figure, as_dict(of_check.figure) if of_check.figure else {"value": None})
        printed_row = row(p.summary, intensity_g_per_kwh=G_PER_KWH, pue=PUE, net=False)
        same(point["energy"], printed(printed_row.kwh_per_1000))
        of_net = row(p.summary, intensity_g_per_kwh=G_PER_KWH, pue=PUE, net=net).per_token
        for name, figure in (
            ("token", of_net and of_net.output),
            ("all", of_net and of_net.all),
        ):
            keys = ("value", "low", "high")
            same(point[name], {key: getattr(figure, key) if figure else None for key in keys})
    assert picked["cheapest"] == (choice.cheapest and choice.cheapest.name)
    assert picked["best"] == (choice.best and choice.best.name)
    assert picked["nearest"] == (choice.nearest and choice.nearest.name)
    assert picked["asCheap"] == [p.name for p in choice.as_cheap]
    assert picked["undecided"] == [p.name for p in choice.undecided]
    if choice.cost is None:
        assert picked["cost"] is None
    else:
        same(picked["cost"], as_dict(choice.cost))


def _check(cells: list[Shown], setting: dict[str, Any], page: dict[str, Any]) -> None:
    boundary, net = setting["boundary"], setting["net"]
    summaries = [summary_of(of, boundary, net=net) for of in cells]
    on_front = pareto.fronts(summaries)
    for of, summary, front in zip(cells, summaries, on_front, strict=True):
        found = page["cells"][of.id]
        said = row(summary, intensity_g_per_kwh=G_PER_KWH, pue=PUE, net=False)
        same(found["kwh"], printed(said.kwh_per_1000))
        same(found["grams"], printed(said.co2e_g_per_1000))
        estimate = estimate_of(said.kwh_per_1000)
        assert found["over"] == (estimate and over_sessions(estimate, format_energy_kwh))
        assert found["front"] is (front is True)
        _check_sessions(summary, found["sessions"])
        if not net:
            said_parts = budget.parts(summary)
            assert len(found["budget"]) == len(said_parts)
            for part, said_part in zip(found["budget"], said_parts, strict=True):
                ends = (said_part.low, said_part.high)
                assert (part["low"], part["high"]) == pytest.approx(ends, rel=1e-9, abs=1e-9)
    _check_categories(summaries, page["general"])
    ids = {id(s): of.id for s, of in zip(summaries, cells, strict=True)}
    assert page["answers"] == [[ids[id(a)], ids[id(b)]] for a, b in answer.pairs(summaries)]


def _check_ratios(
    pairs: list[tuple[Shown, Shown]], means: list[list[int]], setting: dict[str, Any],
    page: dict[str, Any],
) -> None:  # fmt: skip
    boundary, net = setting["boundary"], setting["net"]
    by_number: dict[int, tuple[Summary, Summary, Estimate]] = {}
    each = zip(pairs, page["ratios"], page["alone"], strict=True)
    for number, ((a, b), found, alone) in enumerate(each):
        sides = summary_of(a, boundary, net=net), summary_of(b, boundary, net=net)
        try:
            said_ratio = compare.ratio(*sides)
        except CompareError:
            assert found is None
            continue
        same(found, as_dict(said_ratio))
        assert alone == [of.cell.model for of in compare.of_one_session(*sides, said_ratio)]
        by_number[number] = (*sides, said_ratio)
    for of_mean, found in zip(means, page["means"], strict=True):
        same(found, as_dict(compare.over_cells([by_number[number] for number in of_mean])))
    if by_number:
        same(page["overall"], as_dict(compare.over_cells(list(by_number.values()))))


def _check_means(
    cells: list[Shown], groups: list[tuple[Shown, ...]], setting: dict[str, Any],
    page: dict[str, Any],
) -> None:  # fmt: skip
    def energies(of_group: Iterable[Shown]) -> list[Sums]:
        found = [summary_of(of, setting["boundary"], net=False).energy for of in of_group]
        return [energy for energy in found if energy]

    for group, found in zip([cells, *groups], [page["mean"], *page["groups"]], strict=True):
        same(found, as_dict(parity.mean_of_cells(energies(group))) | {"sessions": None})


def _check_sessions(summary: Summary, page: list[dict[str, Any]]) -> None:
    """Each session's mean and interval, as of its trials alone; none where a ratio has none."""
    sums = summary.energy
    if sums is None or sums.asked or not sums.session_means():
        assert page == []
        return
    factor = (PUE if summary.boundary == "facility" else 1) / 3.6e6
    by_session: dict[tuple[str, str], list[float]] = {}
    for place, value in zip(sums.places, sums.block_values, strict=True):
        by_session.setdefault((place.machine, place.session), []).append(value * factor)
    assert [(each["machine"], each["session"]) for each in page] == list(by_session)
    for each, values in zip(page, by_session.values(), strict=True):
        estimate = intervals.mean_from(*intervals.summary(values))
        assert each["n"] == len(values)
        for key in ("value", "low", "high"):
            expected = getattr(estimate, key)
            assert each["kwh"][key] == (expected and pytest.approx(expected, rel=1e-8))


def _check_categories(summaries: list[Summary], page: list[dict[str, Any]]) -> None:
    """Median over median, of those that may be compared."""
    by_place: dict[Any, dict[str, list[float]]] = {}
    for summary in summaries:
        said = row(summary, intensity_g_per_kwh=G_PER_KWH, pue=PUE, net=False).kwh_per_1000
        if said.value is not None and said.value > 0:
            place = by_place.setdefault(comparable.place(summary), {})
            place.setdefault(summary.cell.category, []).append(said.value)
    both = [
        (found["general-purpose"], found["task-specific"])
        for found in by_place.values()
        if found.keys() >= {"general-purpose", "task-specific"}
    ]
    assert both
    for (general, specific), found in zip(both, page, strict=True):
        expected = (
            statistics.median(general) / statistics.median(specific),
            min(general) / max(specific),
            max(general) / min(specific),
        )
        assert (found["value"], found["low"], found["high"]) == pytest.approx(expected, rel=1e-9)
        assert (found["general"], found["specific"]) == (len(general), len(specific))


@needs_node
def test_numbers_of_parameters_are_understood_as_people_write_them() -> None:
    amounts = {
        "100M": 1e8, "7b": 7e9, "1.5 B": 1.5e9, "1e8": 1e8, "66000000": 66e6, "1,000,000": 1e6,
        "0": 0, "many": None, "1,5": None, "-1": None, "100MB": None, "": None, "1e99": None,
        "1.5亿": 1.5e8, "6600 万": 66e6,
    }  # fmt: skip
    script = (
        f"import({json.dumps((WEB / 'format.js').as_uri())}).then(page => process.stdout.write("
        f"JSON.stringify({json.dumps(list(amounts))}.map(page.amount))))"
    )
    command = [str(NODE), "--eval", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert json.loads(run.stdout) == list(amounts.values())


def test_a_stopped_cell_is_sent_without_its_cold_first_repeat() -> None:
    """It read 100.5 [95.5, 105.5] on the command line and 105.4 with that interval in the page."""
    (of,) = [s for s in shown() if s.cell.summary.cell.model == "cold, stopped"]
    record = document.document([of], store=None)["cells"]["columns"]
    said = of.cell.summaries["compute"].energy
    assert said is not None
    sent = record["compute_mean"]["all"]
    assert sent == said.estimate().value
    assert sent < said.mean
    assert record["compute_ratio_mean"]["all"] == said.for_ratio()[1]


def test_what_may_not_be_compared_has_another_place() -> None:
    records = document.document(shown(), store=None)["cells"]["columns"]
    names = [records["model"]["of"][i] for i in records["model"]["at"]]
    places = dict(zip(names, records["place"]["at"], strict=True))
    alone = ("replica", "far", "imported 1", "imported 8", "same")
    assert len({places[name] for name in (*alone, "small")}) == len(alone) + 1
    assert places["same"] == places["other"]
