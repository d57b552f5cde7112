"""What a notebook shows of results, recordings, summaries and comparisons."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

import permille
from permille.analysis.cards import Card, CardLine, as_html
from permille.analysis.spans import Measured, PowerOverTime, Result, card, pooled
from permille.api.reading import summaries_in
from permille.errors import UsageError
from permille.records.energy import Estimate, Phase, Problem
from permille.records.recording import Provenance, Series
from permille.store import Store
from tests.records import domain, joules

HOSTILE = "<script>alert(1)</script>\x1b[31m"


class _Tags(HTMLParser):
    """The tags and the text of a page; the tags must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.widths: list[float] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        style = dict(attrs).get("style") or ""
        self.widths += [float(width) for width in re.findall(r"width:([\d.e-]+)%", style)]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def result(name: str = "query", energy_j: float = 18.0, spans: int = 2) -> Result:
    phases = [
        Phase(seconds=1.5, domains={"cpu:0": joules(energy_j + i)}, inferences=100)
        for i in range(spans)
    ]
    return pooled(name, [Measured(phase=p) for p in phases], boundary="compute", pue=1.0)


def test_a_result_shows_its_interval_provenance_boundary_and_notes() -> None:
    shown = _Tags(result()._repr_html_())
    assert "18.5 J [12.1 J, 24.9 J] per span" in shown.text
    assert "51.4 mWh [33.7 mWh, 69 mWh]" in shown.text
    assert "in brackets: 95 % intervals · measured · compute · 2 spans of 1.5 s" in shown.text
    assert "fresh processes may differ by more" in shown.text
    assert repr(result()) == (
        "<Result 'query': 18.5 J [12.1 J, 24.9 J]; 51.4 mWh [33.7 mWh, 69 mWh] per 1,000"
        " inferences; measured; compute; 2 spans of 1.5 s>"
    )


def test_the_bar_is_the_interval_on_a_scale_from_0() -> None:
    figure = Estimate(value=5.0, low=4.0, high=8.0)
    twice = Estimate(value=10.0, low=None, high=None)
    lines = (CardLine(label="a", text="", bar=figure), CardLine(label="b", text="", bar=twice))
    shown = _Tags(as_html(Card(title="t", lines=lines)))
    assert shown.widths == [40.0, 10.0, 30.0, 20.0, 100.0]


def test_the_bar_of_a_ratio_has_its_mark_at_1() -> None:
    ratio = Estimate(value=2.0, low=1.0, high=4.0)
    card = Card(title="t", lines=(CardLine(label="a", text="", bar=ratio),), ratios=True)
    page = as_html(card)
    assert page.count("opacity:0.5") == 1
    assert sum(_Tags(page).widths) == pytest.approx(100.0, abs=0.2)


@pytest.mark.parametrize("figure", [0.0, -3.0, 1e-30, 1e30])
@pytest.mark.parametrize("ratios", [False, True])
def test_any_figure_has_a_bar_within_its_track(figure: float, ratios: bool) -> None:
    estimate = Estimate(value=figure, low=figure, high=figure)
    line = CardLine(label="a", text="", bar=estimate)
    widths = _Tags(as_html(Card(title="t", lines=(line,), ratios=ratios))).widths
    assert sum(widths) == pytest.approx(100.0, abs=0.5)


def test_hostile_names_are_escaped_and_nothing_is_a_script() -> None:
    hostile = result(HOSTILE)
    page = hostile._repr_html_()
    shown = _Tags(page)
    assert shown.tags == {"div", "strong", "table", "tr", "td", "span"}
    assert "<script>alert(1)</script> [31m" in shown.text
    assert "\x1b" not in page
    assert "\x1b" not in repr(hostile)


def test_a_result_without_a_figure_says_why_and_has_no_bar() -> None:
    problem = Problem(reason="the counter was reset", kind="cpu")
    phase = Phase(seconds=1.0, domains={}, problems={"cpu:0": problem})
    failed = pooled("query", [Measured(phase=phase)], boundary="compute", pue=1.0)
    shown = _Tags(failed._repr_html_())
    assert "no figure: cpu:0: the counter was reset" in shown.text
    assert shown.widths == []
    assert "no figure: cpu:0: the counter was reset" in repr(failed)


def test_an_exception_is_shown_with_the_energy() -> None:
    phase = Phase(seconds=1.0, domains={"cpu:0": joules(5.0)})
    spans = [Measured(phase=phase, raised=("ValueError: no",))]
    shown = _Tags(pooled("query", spans, boundary="compute", pue=1.0)._repr_html_())
    assert "not valid · 1 of 1 spans ended with ValueError: no · measured" in shown.text


def test_an_estimate_says_what_it_is() -> None:
    phase = Phase(seconds=1.0, domains={"cpu:0": joules(5.0, provenance=Provenance.ESTIMATED)})
    shown = _Tags(pooled("query", [Measured(phase=phase)], boundary="node", pue=1.0)._repr_html_())
    assert "estimated: no energy counter could be read" in shown.text


def test_results_of_one_recording_have_one_scale() -> None:
    both = card([result("small", 10.0), result("large", 100.0)], "Recording")
    bars = [line.bar.value for line in both.lines if line.bar is not None]
    assert bars == pytest.approx([0.105 / 3.6e6 * 1000, 1.005 / 3.6e6 * 1000])
    labels = [line.label for line in both.lines]
    assert labels[:2] == ["small: energy", "small: per 1,000 inferences"]
    assert "measured; compute; 2 spans of 1.5 s" in [line.text for line in both.lines]


def test_a_recording_that_has_not_begun_says_so() -> None:
    rec = permille.record()
    assert repr(rec) == "<permille.Session, not begun>"
    assert "Recording, not begun" in _Tags(rec._repr_html_()).text


def test_summaries_and_comparisons_show_themselves(store: Path) -> None:
    with Store(store, readonly=True) as opened:
        mini, smol = summaries_in(opened, None, "compute")
    shown = _Tags(mini._repr_html_())
    assert "MiniLM: text-classification on reviews" in shown.text
    assert "quality accuracy 80.0 [72.9, 85.6] %" in shown.text
    assert "measured · compute · trials: 3 done, 1 failed" in shown.text
    assert repr(smol).startswith("<Summary of 'SmolLM2' on 'reviews': 211 mWh [")
    comparison = permille.compare("SmolLM2", "MiniLM", store)
    shown = _Tags(comparison._repr_html_())
    assert "Energy of SmolLM2 over that of MiniLM" in shown.text
    assert re.search(r"text-classification on reviews 20\.5 \[[\d.]+, [\d.]+\] times", shown.text)
    assert "compute · measured" in shown.text


def test_a_ratio_is_plotted_on_a_logarithmic_scale(store: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    comparison = permille.compare("SmolLM2", "MiniLM", store)
    axes = comparison.plot()
    assert axes.get_xscale() == "log"
    (point,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert point.get_xdata()[0] == comparison.ratio.value
    ((ends,),) = [lines.get_segments() for lines in axes.collections]
    assert [x for x, _ in ends] == [comparison.ratio.low, comparison.ratio.high]
    pyplot.close(axes.figure)


def test_power_is_plotted_with_the_spans_shaded_on_the_axes_given() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    second = 10**9
    cpu = Series(
        domain=domain("cpu:0"), t_ns=(5 * second, 6 * second, 7 * second), energy_j=(0, 10, 40)
    )
    power = PowerOverTime(series=(cpu,), spans_ns=((int(5.5 * second), 7 * second),))
    measured = pooled(
        "$x_1$", [Measured(phase=Phase(seconds=1.5, domains={"cpu:0": joules(35.0)}))],
        boundary="compute", pue=1.0, power=power,
    )  # fmt: skip
    figure, given = pyplot.subplots()
    axes = measured.plot(ax=given)
    assert axes is given
    steps, shade = axes.patches
    assert list(steps.get_data().values) == [10.0, 30.0]
    assert list(steps.get_data().edges) == [0.0, 1.0, 2.0]
    assert shade.get_x() == 0.5
    assert axes.get_legend_handles_labels()[1] == ["cpu:0 (measured)"]
    assert axes.get_title() == r"\$x_1\$"
    pyplot.close(figure)


def test_a_result_of_several_recordings_has_no_power_to_plot() -> None:
    with pytest.raises(UsageError, match="no power to plot for 'query': its spans are of several"):
        result().plot()


def test_a_recording_without_readings_has_no_power_to_plot() -> None:
    """A meter that failed from the start has a series of no readings."""
    unread = Series(domain=domain("cpu:0"), t_ns=(), energy_j=())
    power = PowerOverTime(series=(unread,), spans_ns=((0, 1),))
    with pytest.raises(UsageError, match="no meter could be read"):
        msgspec.structs.replace(result(), power=power).plot()


def test_a_plot_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    cpu = Series(domain=domain("cpu:0"), t_ns=(0, 1), energy_j=(0.0, 1.0))
    from permille.analysis.plots import power_axes

    with pytest.raises(
        UsageError, match=r"a plot needs matplotlib: pip install 'permille\[plot\]'"
    ):
        power_axes((cpu,), (), "title")
