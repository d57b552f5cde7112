"""What the tokens of a server's prompts and answers cost each, from the recording. Pure.

A server that answers one request at a time reads the prompt until the first token and writes the
answer after it: each part has its own energy, if the meters can resolve it. Under load the two
overlap. Then a regression over windows of the query span explains their energy,

    E = a * input tokens + b * output tokens + c * seconds,

with a, b, c >= 0 (Lawson and Hanson 1974). A prompt's tokens are spread evenly between sending and
the first token, an answer's between the first and the last token. The intervals are those of
ordinary least squares, with Student's t, clipped at 0. Where the condition number of the scaled
columns is above 30, they are collinear (Belsley, Kuh and Welsch 1980): the load hardly varied, and
the sum is known better than its parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from permille.analysis.boundaries import Bounded, within
from permille.analysis.student import student_t
from permille.energy import disturbance, phases
from permille.records.answers import RequestTimes, TokenSplit
from permille.records.energy import Estimate, Refused
from permille.records.recording import Recording, Span
from permille.units import format_share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POLLS = 2
"""A prompt and an answer must each last this many polls of the recorder, on average."""
MOST_REQUESTS = 2_000
"""The most requests whose parts are evaluated: the first ones."""
LEAST_WINDOWS, MOST_WINDOWS = 12, 200
WINDOW_POLLS = 10
"""A window lasts at least this many polls of the recorder."""
COLLINEAR = 30.0
_GAP_NS = 1_000_000
"""Requests that overlap by less than this were sent one after the other."""


def token_split(recording: Recording, query: Span) -> TokenSplit | None:
    """Joules per input token and per output token of a query span, in the ``compute`` boundary.
    None if its requests were not streamed or lack their tokens."""
    written = query.attributes.get("requests")
    if written is None:
        return None
    try:
        times = msgspec.convert(written, RequestTimes)
    except msgspec.ValidationError as error:
        return TokenSplit(problem=f"the times of the requests cannot be read: {error}")
    if not _is_consistent(times):
        return TokenSplit(problem="the times of the requests contradict each other")
    phases = _by_phases(recording, query, times)
    if phases.problem is None:
        return phases
    windows = _by_windows(recording, query, times)
    if windows.problem is None:
        return windows
    return TokenSplit(problem=f"{phases.problem}; {windows.problem}")


def _is_consistent(times: RequestTimes) -> bool:
    columns = (times.sent_ns, times.first_ns, times.last_ns, times.tokens_in, times.tokens_out)
    # A worker reports these, and a store from elsewhere may hold anything.
    if len({len(column) for column in columns}) > 1 or not times.sent_ns:
        return False
    return all(
        sent <= first <= last and 0 <= tokens_in < 2**31 and 0 < tokens_out < 2**31
        for sent, first, last, tokens_in, tokens_out in zip(*columns, strict=True)
    )


# --- one request at a time -----------------------------------------------------------------------


class _Part:
    """The prompts or the answers of all requests: their energies, tokens and seconds."""

    def __init__(self) -> None:
        self.energies: list[Bounded] = []
        self.tokens: list[int] = []
        self.seconds = 0.0

    def add(self, spent: Bounded, tokens: int, seconds: float) -> None:
        """Add one request's part."""
        self.energies.append(spent)
        self.tokens.append(tokens)
        self.seconds += seconds

    @property
    def energy_j(self) -> float:
        """Their sum."""
        return math.fsum(one.energy_j for one in self.energies)

    @property
    def power_w(self) -> float:
        """Their mean power."""
        return self.energy_j / self.seconds

    def per_token(self, smeared_j: float) -> Estimate:
        """Joules per token: the ratio of the sums. The interval has the spread of the requests
        about it (Cochran 1977, 6.4), the edges, and ``smeared_j`` of each request, the most that
        interpolation moves between the two parts."""
        n, tokens = len(self.tokens), sum(self.tokens)
        value = self.energy_j / tokens
        if n < 2:
            return Estimate(value=value, low=None, high=None)
        pairs = zip(self.energies, self.tokens, strict=True)
        squares = math.fsum((one.energy_j - value * count) ** 2 for one, count in pairs)
        spread_j = student_t(n - 1) * math.sqrt(squares / (n - 1) * n)
        edges_j = 2 * math.sqrt(math.fsum(one.edge_j**2 for one in self.energies))
        half = (math.hypot(spread_j, edges_j) + n * smeared_j) / tokens
        return Estimate(value=value, low=max(0.0, value - half), high=value + half)


def _by_phases(recording: Recording, query: Span, times: RequestTimes) -> TokenSplit:
    rows = list(zip(times.sent_ns, times.first_ns, times.last_ns, strict=True))
    if any(later[0] < row[2] - _GAP_NS for row, later in pairwise(rows)):
        return TokenSplit(problem="requests overlap")
    interval_s, n = recording.stats.interval_s, len(rows)
    for what, mean_s in (
        ("a prompt", sum(first - sent for sent, first, _ in rows) / n / 1e9),
        ("an answer", sum(last - first for _, first, last in rows) / n / 1e9),
    ):
        if mean_s < POLLS * interval_s:
            return TokenSplit(
                problem=f"{what} takes {mean_s:.2g} s, too short to be resolved by readings every"
                f" {interval_s:.2g} s"
            )
    prompts, rest = _parts(recording, query, times)
    if len(prompts.tokens) < max(1, min(n, MOST_REQUESTS) / 2) or prompts.energy_j <= 0:
        return TokenSplit(problem="the meters resolve too few prompts and answers")
    # Between two readings the energy is drawn as a line: at a change of power, a sixth of a gap of
    # the difference ends up on the wrong side on average, at both ends of each part.
    smeared_j = abs(prompts.power_w - rest.power_w) * interval_s / 3
    low, high = _accuracy([*prompts.energies, *rest.energies])
    return TokenSplit(
        method="phases",
        input_j=prompts.per_token(smeared_j),
        output_j=rest.per_token(smeared_j),
        n=len(prompts.tokens),
        accuracy_low=low,
        accuracy_high=high,
    )


def _parts(recording: Recording, query: Span, times: RequestTimes) -> tuple[_Part, _Part]:
    """The prompts and the answers of the requests of which the meters resolve both."""
    prompts, rest = _Part(), _Part()
    rows = zip(
        times.sent_ns, times.first_ns, times.last_ns, times.tokens_in, times.tokens_out, strict=True
    )
    for sent, first, last, tokens_in, tokens_out in list(rows)[:MOST_REQUESTS]:
        read = _energy(recording, query, sent, first)
        written = _energy(recording, query, first, last)
        if isinstance(read, Refused) or isinstance(written, Refused):
            continue
        # A prompt that was cached as a whole has no tokens to read, and an answer of one token none
        # after the first.
        if tokens_in and tokens_out > 1:
            prompts.add(read, tokens_in, (first - sent) / 1e9)
            # The first token is made by reading the prompt.
            rest.add(written, tokens_out - 1, (last - first) / 1e9)
    return prompts, rest


def _energy(recording: Recording, query: Span, t0_ns: int, t1_ns: int) -> Bounded | Refused:
    """The energy between two times from the start of the query."""
    span = Span(name="part", t0_ns=query.t0_ns + t0_ns, t1_ns=query.t0_ns + t1_ns)
    if not query.t0_ns <= span.t0_ns < span.t1_ns <= query.t1_ns:
        return Refused(reason="outside the query span")
    return within(phases.phase(recording, span), "compute")


def _accuracy(energies: Sequence[Bounded]) -> tuple[float, float]:
    """The meters' accuracy below and above, relative to an energy above 0."""
    total_j = math.fsum(one.energy_j for one in energies)
    low_j = math.fsum(one.low_j for one in energies)
    high_j = math.fsum(one.high_j for one in energies)
    return low_j / total_j, high_j / total_j


# --- under load ----------------------------------------------------------------------------------


def _by_windows(recording: Recording, query: Span, times: RequestTimes) -> TokenSplit:
    import numpy as np

    others = disturbance.of_span(recording.cpu, query)
    if others is not None and others.disturbed:
        # Their work fills the gaps between ours, so that the windows look alike.
        share = disturbance.worst_share(others)
        return TokenSplit(
            problem=f"others used {format_share(share)} of the CPU time during the query, too much"
            " for a regression"
        )
    span_ns = query.t1_ns - query.t0_ns
    least_s = WINDOW_POLLS * recording.stats.interval_s
    n = min(MOST_WINDOWS, int(span_ns / 1e9 / least_s))
    if n < LEAST_WINDOWS:
        return TokenSplit(
            problem=f"the query of {span_ns / 1e9:.3g} s is too short for a regression: it needs"
            f" {LEAST_WINDOWS * least_s:.3g} s"
        )
    edges = [span_ns * i // n for i in range(n + 1)]
    energies = []
    for t0_ns, t1_ns in pairwise(edges):
        spent = _energy(recording, query, t0_ns, t1_ns)
        if isinstance(spent, Refused):
            return TokenSplit(problem=f"a window of the query has no figure: {spent.reason}")
        energies.append(spent)
    if math.fsum(one.energy_j for one in energies) <= 0:
        return TokenSplit(problem="the query span has no energy")
    ends = np.asarray(edges, dtype=np.float64)
    columns = np.column_stack(
        [
            _spread_evenly(times.tokens_in, times.sent_ns, times.first_ns, ends),
            # The first token is made by reading the prompt.
            _spread_evenly([t - 1 for t in times.tokens_out], times.first_ns, times.last_ns, ends),
            np.diff(ends) / 1e9,
        ]
    )
    if np.any(columns.sum(axis=0) <= 0):
        return TokenSplit(problem="no input or no output tokens in the query span")
    return _fitted(columns, energies)


def _spread_evenly(
    tokens: Sequence[int], starts: Sequence[int], ends: Sequence[int], edges: Floats
) -> Floats:
    """The tokens in each window, if each request's are spread evenly from its start to its end."""
    import numpy as np

    reached = np.zeros(len(edges))
    for count, start, end in zip(tokens, starts, ends, strict=True):
        # An answer of one token begins and ends at once, which would be 0 / 0.
        reached += count * np.clip((edges - start) / max(end - start, 1), 0.0, 1.0)
    return np.diff(reached)


def _fitted(columns: Floats, energies: Sequence[Bounded]) -> TokenSplit:
    """The non-negative fit, and the intervals of ordinary least squares."""
    import numpy as np
    from scipy.optimize import nnls

    joules = np.asarray([one.energy_j for one in energies])
    # Columns of length 1: else the condition number would be that of their units.
    scale = np.linalg.norm(columns, axis=0)
    scaled = columns / scale
    singular = np.linalg.svd(scaled, compute_uv=False)
    # With proportional columns, the inverse below would be made of rounding errors.
    if singular[-1] < 1e-9 * singular[0]:
        return TokenSplit(
            problem="input tokens, output tokens and time are proportional: vary them"
        )
    condition = float(singular[0] / singular[-1])
    # The figure is the bounded fit, because no token gives energy back. The errors are those of the
    # plain fit about its own residuals: a coefficient at its bound has no standard error.
    fitted = nnls(scaled, joules)[0] / scale
    plain = np.linalg.lstsq(scaled, joules, rcond=None)[0] / scale
    freedom = len(joules) - columns.shape[1]
    variance = float(np.sum((joules - columns @ plain) ** 2)) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.inv(scaled.T @ scaled))) / scale
    halves = student_t(freedom) * errors
    low, high = _accuracy(energies)
    estimates = list(_clipped(fitted, plain, halves))
    return TokenSplit(
        method="windows",
        input_j=estimates[0],
        output_j=estimates[1],
        rest_w=estimates[2],
        n=len(joules),
        accuracy_low=low,
        accuracy_high=high,
        warning=(
            "the load hardly varied: input tokens, output tokens and time cannot be told apart well"
            f" (condition number {condition:.0f})"
            if condition > COLLINEAR
            else None
        ),
    )


def _clipped(fitted: Floats, plain: Floats, halves: Floats) -> Iterator[Estimate]:
    for value, centre, half in zip(fitted, plain, halves, strict=True):
        yield Estimate(
            value=float(value),
            low=float(max(0.0, min(value, centre - half))),
            high=float(max(value, centre + half)),
        )
