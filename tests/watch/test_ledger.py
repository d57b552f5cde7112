"""Energy next to counts: no figure where one of them is unknown, and nothing lost when both are."""

from __future__ import annotations

import msgspec
import pytest

from permille.carbon.settings import resolve
from permille.cli.watch_text import total_text
from permille.records.energy import Phase, Problem
from permille.watch.exporter import WatchCounters
from permille.watch.ledger import WatchLedger, WatchLine, WatchStep, joined
from permille.watch.scrape import Scrape, SeriesKey
from permille.watch.served import ServedCounts, ServedWork, between
from tests.records import ESTIMATED, MEASURED, joules

CARBON = resolve(intensity=360.0)


def served(requests: float | None, tokens: float, *, idle: bool | None = False) -> ServedWork:
    counts = ServedCounts(requests=requests, input_tokens=10.0, output_tokens=tokens)
    return ServedWork(counts=counts, models={"m": counts}, idle=idle)


def step(energy_j: float | None, done: ServedWork | None, *, lost: bool = False) -> WatchStep:
    figures = {} if energy_j is None else {"cpu:0": joules(energy_j)}
    problems = {} if figures else {"cpu:0": Problem(reason="it hangs", kind="cpu")}
    return WatchStep(
        t="2026-01-01T00:00:00.000+00:00",
        phase=Phase(seconds=10.0, domains=figures, problems=problems),
        served=done,
        lost=lost,
        running=None,
        notes=(),
        own_cpu=0.0,
    )


def lines(*steps: WatchStep) -> list[WatchLine]:
    ledger = WatchLedger("compute", CARBON)
    return [ledger.add(each) for each in steps]


def test_figures_per_request_and_per_token() -> None:
    (line,) = lines(step(3600.0, served(500, 7200)))
    assert line.wh_per_1000 is not None
    assert line.wh_per_1000.value == 2.0
    assert line.co2e_g_per_1000 is not None
    assert line.co2e_g_per_1000.value == 0.72  # 2 Wh at 360 g/kWh
    assert line.j_per_token is not None
    assert line.j_per_token.value == 0.5
    assert (line.requests_per_s, line.tokens_per_s) == (50.0, 720.0)
    assert line.models["m"].j_per_token == line.j_per_token


def test_requests_in_doubt_are_labelled_in_the_line_and_from_then_on_in_the_total() -> None:
    doubtful = msgspec.structs.replace(served(5, 50), doubt="some may be\ncounted twice")
    before, during, after = lines(
        step(10.0, served(5, 50)), step(10.0, doubtful), step(10.0, served(5, 50))
    )
    assert (before.notes, before.total.notes) == ((), ())
    assert during.notes == during.total.notes == ("some may be\ncounted twice",)
    assert (after.notes, after.total.notes) == ((), during.notes)
    assert total_text(after.total).splitlines()[-1] == "some may be counted twice"


def test_after_a_failed_reading_the_counts_go_with_the_energy_of_the_whole_time() -> None:
    first, failed, again = lines(
        step(100.0, served(1, 100)), step(300.0, None), step(100.0, served(4, 400))
    )
    assert (failed.requests, failed.wh_per_1000, failed.counted_s) == (None, None, None)
    assert failed.energy_j is not None
    assert failed.energy_j.value == 300.0
    assert failed.total.left_out_s == 10.0
    assert failed.total.energy_j == first.total.energy_j
    assert again.counted_s == 20.0
    assert again.j_per_token is not None
    assert again.j_per_token.value == 1.0
    assert again.tokens_per_s == 20.0
    assert (again.total.seconds, again.total.left_out_s) == (30.0, 0.0)
    assert again.total.j_per_token is not None
    assert again.total.j_per_token.value == 1.0


def test_the_time_of_a_restart_is_in_no_figure() -> None:
    _, lost, after = lines(
        step(100.0, served(1, 100)), step(900.0, None, lost=True), step(100.0, served(1, 100))
    )
    assert lost.j_per_token is None
    assert after.counted_s == 10.0
    assert after.total.left_out_s == 10.0
    assert after.total.j_per_token is not None
    assert after.total.j_per_token.value == 1.0


def test_counts_without_energy_are_in_no_figure() -> None:
    _, dark, after = lines(
        step(100.0, served(1, 100)), step(None, served(1, 900)), step(100.0, served(1, 100))
    )
    assert (dark.energy_j, dark.j_per_token, dark.provenance) == (None, None, None)
    assert dark.tokens.output == 900
    assert dark.notes == ("cpu:0: it hangs",)
    assert dark.domains["cpu:0"].reason == "it hangs"
    assert after.total.tokens.output == 200
    assert after.total.left_out_s == 10.0


def test_no_figure_per_nothing_and_none_per_what_is_not_counted() -> None:
    idle, uncounted = lines(step(50.0, served(0, 0, idle=True)), step(50.0, served(None, 100)))
    assert (idle.wh_per_1000, idle.j_per_token, idle.idle) == (None, None, True)
    assert uncounted.wh_per_1000 is None
    assert uncounted.total.requests is None
    assert uncounted.total.idle_share == 0.5
    assert uncounted.total.j_per_token is not None
    assert uncounted.total.j_per_token.value == 1.0  # the idle time is part of the cost


def test_a_part_of_a_request_is_divided_by_as_it_is_counted() -> None:
    (line,) = lines(step(36.0, served(0.4, 10)))
    assert line.requests == 0.4
    assert line.wh_per_1000 is not None
    assert line.wh_per_1000.value == pytest.approx(25.0)  # 0.01 Wh


def test_two_models_at_work_share_an_energy_that_is_neither_s() -> None:
    one, none = ServedCounts(output_tokens=100.0), ServedCounts(output_tokens=0.0)
    both = ServedWork(counts=one, models={"a": one, "b": one}, idle=False)
    alone = ServedWork(counts=one, models={"a": one, "b": none}, idle=False)
    together, single = lines(step(100.0, both), step(100.0, alone))
    assert [m.j_per_token for m in together.models.values()] == [None, None]
    assert single.models["a"].j_per_token is not None
    assert single.models["b"].j_per_token is None


def test_idle_is_unknown_for_the_whole_if_it_was_once() -> None:
    _, line = lines(step(1.0, served(0, 0, idle=True)), step(1.0, served(0, 0, idle=None)))
    assert line.total.idle_share is None


def test_joined_phases_lack_what_one_of_them_lacks() -> None:
    def phase(**domains: float) -> Phase:
        return Phase(seconds=1.0, domains={name: joules(j) for name, j in domains.items()})

    both = joined([phase(a=1.0, b=2.0), phase(a=3.0)])
    assert both.domains["a"].energy_j == 4.0
    assert "not metered all the time" in both.problems["b"].reason
    weak = joined(
        [
            Phase(seconds=1.0, domains={"a": joules(1.0, accuracy_low=0.1, edge_j=3.0)}),
            Phase(seconds=1.0, domains={"a": joules(3.0, edge_j=4.0, provenance=ESTIMATED)}),
        ]
    ).domains["a"]
    assert (weak.edge_j, weak.accuracy_low, weak.provenance) == (5.0, 0.025, ESTIMATED)


def test_what_is_counted_without_a_model_is_served_beside_the_models() -> None:
    counted: dict[SeriesKey, float] = {
        ("requests", "a", ()): 2.0,
        ("output_tokens", "", ()): 70.0,
    }
    nothing = Scrape(counters=dict.fromkeys(counted, 0.0), running=0)
    counters = WatchCounters("compute")
    counters.add(
        step(1.0, between(nothing, Scrape(counters=counted, running=0))), frozenset({"cpu:0"})
    )
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in counters.collect()
        for sample in family.samples
    }
    assert samples["permille_requests_total", "a"] == 2.0
    assert samples["permille_tokens_total", "", "output"] == 70.0


def test_the_served_counters_hold_the_boundary_s_domains_alone() -> None:
    counters, ledger = WatchCounters("facility"), WatchLedger("facility", CARBON)
    for each in (step(100.0, served(2, 50)), step(None, None), step(7.0, None, lost=True)):
        ledger.add(each)
        counters.add(each, frozenset({"cpu:0"}))
    elsewhere = step(5.0, served(2, 50))
    counters.add(elsewhere, frozenset())
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in counters.collect()
        for sample in family.samples
    }
    assert samples["permille_energy_joules_total", "cpu:0", MEASURED, "node"] == 107.0
    assert samples["permille_unmetered_seconds_total", "cpu:0"] == 10.0
    assert samples["permille_tokens_total", "m", "output"] == 100.0
    assert samples["permille_requests_total", "m"] == 4.0
    assert samples[("permille_scrape_failures_total",)] == 1
    assert samples[("permille_server_restarts_total",)] == 1
