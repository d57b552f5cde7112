"""What somebody else would find who measured again: the mean over sessions, and the rerun interval.

Trials of one session share its temperature, its boot and its neighbours, so their spread says
nothing about another day or machine. Sessions are therefore the unit, as Kalibera and Jones
(Rigorous benchmarking in reasonable time, ISMM 2013) take the highest level that is repeated:

- **mean**: the mean over sessions of each session's mean, with Student's t over the sessions. With
  unequal numbers of trials the sessions' means have unequal variances; Student's t at 95 % is then
  conservative (Ibragimov and Müller, J. Bus. Econ. Stat. 28, 2010; the same holds for
  scale mixtures of normals, which have heavy tails).
- **rerun interval**: where the mean of one more session would fall, Student's prediction interval
  ``t(k - 1) * s * sqrt(1 + 1 / k)`` (Hahn and Meeker, Statistical Intervals, 1991, 4.7), times
  :data:`CAUTION`.
- Where sessions are of several machines, the machines are the unit: the mean is over their means,
  and the rerun interval is of a session on one more machine. Its variance is a combination of two
  mean squares, with the degrees of freedom of Satterthwaite (Biometrics Bull. 2, 1946).
- A mean over cells that were measured in the same sessions is a mean over sessions, too: of the
  cells' mean in each (:func:`over_cells`).
- **components**: the variances of trials, sessions and machines, by the analysis of variance of
  unweighted means (Searle, Casella and McCulloch, Variance Components, 1992, chapter 5).

A study may ask for sessions until the rerun interval is within a precision (:func:`is_precise`).
Looking after every session and stopping where the spread happens to be small makes intervals too
narrow. So, as with the rule for repeats (:mod:`permille.analysis.stopping`), the rerun interval is
never reported narrower than requested, both intervals are wider by :data:`SELECTION_CAUTION` at
least, and the mean's is widened by the same factor as the rerun interval.

With one session there is Student's interval over its trials or blocks, and no rerun interval.
Pure functions on any scale on which effects add up: logarithms for energies and ratios. The
coverage is simulated in ``benchmarks/rerun.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec.structs import replace

from permille.analysis.intervals import on_log_scale, summary
from permille.analysis.student import student_t
from permille.records import Record

CAUTION = 1.1
"""Factor on the half-width of the rerun interval. The next session of a heavy-tailed machine lies
outside of Student's prediction interval in up to 7 % of cases; simulated, ``benchmarks/rerun.py``.
"""

SELECTION_CAUTION = 1.15
"""Factor on both intervals of sessions that were repeated until they agreed: a multiple of 0.05
with which the mean is covered in 94.5 % of cases and the next session in 94 %, simulated in
``benchmarks/rerun.py``."""

FEWEST_SESSIONS = 3
"""Two sessions agree by chance too often for a decision to rest on them."""

Level = Literal[
    "trial", "session", "trial or session", "machine", "session or machine",
    "trial, session or machine",
]  # fmt: skip


class Measurement(Record):
    """One value of one block: a logarithm of an energy, or a difference of two."""

    session: str
    block: int
    value: float
    machine: str = ""


class SessionMean(Record):
    """One session: the mean of its ``n`` trials or blocks, and their sd (None for one)."""

    session: str
    n: int
    mean: float
    sd: float | None
    machine: str = ""


class Component(Record):
    """How much of the variance of a single trial one level causes. ``share`` is of the total, and
    ``df`` the degrees of freedom of its mean square. ``session or machine``, say, where every
    machine has one session, so that the two cannot be told apart."""

    level: Level
    variance: float
    share: float
    df: int


class Rerun(Record):
    """A mean with its 95 % interval, and the interval of one more session's mean. An interval is
    None where there is none: of a single trial, and ``rerun_low`` and ``rerun_high`` of a single
    session. ``blocks`` counts the blocks or trials of all sessions."""

    value: float
    low: float | None
    high: float | None
    rerun_low: float | None
    rerun_high: float | None
    sessions: int
    machines: int
    blocks: int

    @property
    def half(self) -> float | None:
        """Half of the width of the mean's interval."""
        return None if self.high is None else self.high - self.value

    @property
    def rerun_half(self) -> float | None:
        """Half of the width of the rerun interval."""
        return None if self.rerun_high is None else self.rerun_high - self.value

    def rerun_around(self, value: float) -> tuple[float | None, float | None]:
        """The ends of the rerun interval of logarithms, around a figure; None without one."""
        half = self.rerun_half
        if half is None:
            return None, None
        ends = on_log_scale(value, half, half)
        return ends.low, ends.high

    def widened(self, factor: float) -> Rerun:
        """The same with both intervals wider by a factor."""
        half, rerun_half = self.half, self.rerun_half
        return replace(
            self,
            low=None if half is None else self.value - factor * half,
            high=None if half is None else self.value + factor * half,
            rerun_low=None if rerun_half is None else self.value - factor * rerun_half,
            rerun_high=None if rerun_half is None else self.value + factor * rerun_half,
        )


def is_precise(over: Rerun, precision: float) -> bool:
    """Whether logarithms need no further session for a rerun to be within ``precision``
    (relative)."""
    half = over.rerun_half
    if half is None or over.sessions < FEWEST_SESSIONS:
        return False
    # As wide as it will be reported (selection_factor), or the run would stop before that is
    # within.
    return SELECTION_CAUTION * half <= math.log1p(precision)


def selection_factor(over: Rerun, precision: float | None) -> float:
    """By how much the intervals of logarithms are to be wider because their sessions were repeated
    until they agreed within ``precision``; 1 without such a rule."""
    half = over.rerun_half
    # Sessions that agree exactly have no width that a factor could change.
    if precision is None or not half:
        return 1.0
    return max(SELECTION_CAUTION, math.log1p(precision) / half)


def session_means(measurements: Iterable[Measurement]) -> list[SessionMean]:
    """The measurements by session, in order of first appearance."""
    values: dict[tuple[str, str], list[float]] = {}
    for one in measurements:
        values.setdefault((one.machine, one.session), []).append(one.value)
    return [of_values(session, found, machine) for (machine, session), found in values.items()]


def of_values(session: str, values: Sequence[float], machine: str = "") -> SessionMean:
    """One session from its values.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    n, mean, sd = summary(values)
    return SessionMean(session=session, n=n, mean=mean, sd=sd, machine=machine)


def over_cells(cells: Sequence[Sequence[SessionMean]]) -> list[SessionMean]:
    """The mean of several cells in each of the sessions, which are the same in all of them.

    What a session changes, it may change in every cell alike: the cells of one session are not
    independent, but the means over its cells are, from session to session. They have no ``sd``: the
    blocks of different cells are not draws of one quantity.
    """
    means: dict[str, list[SessionMean]] = {}
    for one in (mean for cell in cells for mean in cell):
        # Without the machine, which not every cell's trials know; a session is of one machine.
        means.setdefault(one.session, []).append(one)
    return [
        SessionMean(
            session=session,
            n=sum(one.n for one in found),
            mean=math.fsum(one.mean for one in found) / len(found),
            sd=None,
            machine=found[0].machine,
        )
        for session, found in means.items()
    ]


def rerun(sessions: Sequence[SessionMean]) -> Rerun:
    """The mean over sessions with both intervals.

    Raises:
        ValueError: there is no session.
    """
    if not sessions:
        raise ValueError("there is no session to take the mean of")
    machines = _machines(sessions)
    n, value, sd = summary(_units(machines))
    # Of a single session, its trials or blocks are the draws.
    half = _half(sessions[0].n, sessions[0].sd) if len(sessions) == 1 else _half(n, sd)
    rerun_half = None if sd is None else _rerun_half(machines, n, sd)
    return Rerun(
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        rerun_low=None if rerun_half is None else value - rerun_half,
        rerun_high=None if rerun_half is None else value + rerun_half,
        sessions=len(sessions),
        machines=len(machines),
        blocks=sum(s.n for s in sessions),
    )


def _machines(sessions: Sequence[SessionMean]) -> list[list[SessionMean]]:
    """The sessions by machine."""
    found: dict[str, list[SessionMean]] = {}
    for session in sessions:
        found.setdefault(session.machine, []).append(session)
    return list(found.values())


def _units(machines: Sequence[Sequence[SessionMean]]) -> list[float]:
    """The values that are independent draws: machines' means, or one machine's sessions'."""
    if len(machines) == 1:
        return [session.mean for session in machines[0]]
    return [summary([session.mean for session in machine])[1] for machine in machines]


def _half(n: int, sd: float | None) -> float | None:
    return None if sd is None else student_t(n - 1) * sd / math.sqrt(n)


def _rerun_half(machines: Sequence[Sequence[SessionMean]], n: int, sd: float) -> float:
    """Of ``n`` units with an sd."""
    among = sd**2 * (1 + 1 / n)
    # The mean of several sessions varies less than the one session that is to come.
    within, df_within = _session_square(machines) if len(machines) > 1 else (0.0, 0)
    # Of a machine's mean, its sessions leave 1 / n of their variance; one session more has all of
    # it.
    rest = within * (1 - _mean_inverse([len(machine) for machine in machines])) if within else 0.0
    total = among + rest
    if not total:
        return 0.0
    df = total**2 / (among**2 / (n - 1) + (rest**2 / df_within if rest else 0.0))
    return CAUTION * student_t(df) * math.sqrt(total)


def _session_square(machines: Sequence[Sequence[SessionMean]]) -> tuple[float, int]:
    """The mean square of sessions' means within machines, and its degrees of freedom."""
    return _pooled(
        (len(machine), summary([session.mean for session in machine])[2]) for machine in machines
    )


def _trial_square(sessions: Iterable[SessionMean]) -> tuple[float, int]:
    """The mean square of trials within sessions, and its degrees of freedom."""
    return _pooled((session.n, session.sd) for session in sessions)


def _pooled(groups: Iterable[tuple[int, float | None]]) -> tuple[float, int]:
    known = [(n - 1, sd**2) for n, sd in groups if sd is not None and n > 1]
    df = sum(d for d, _ in known)
    return (math.fsum(d * square for d, square in known) / df if df else 0.0), df


def _mean_inverse(counts: Sequence[int]) -> float:
    return math.fsum(1 / n for n in counts) / len(counts)


def components(sessions: Sequence[SessionMean]) -> tuple[Component, ...]:
    """The shares of variance, lowest level first; only of levels that were repeated. A variance
    that is estimated below 0 is 0."""
    machines = _machines(sessions)
    trial, df_trial = _trial_square(sessions)
    found: list[tuple[Level, float, int]] = [("trial", trial, df_trial)] if df_trial else []
    # What the trials' variance leaves in a session's mean, and the sessions' in a machine's.
    session, df_session = _session_square(machines)
    per_session = trial * _mean_inverse([s.n for s in sessions])
    if df_session:
        level: Level = "session" if df_trial else "trial or session"
        found.append((level, max(0.0, session - per_session), df_session))
    if len(machines) > 1:
        sd = summary(_units(machines))[2]
        assert sd is not None
        level = "machine"
        if not df_session:
            level = "session or machine" if df_trial else "trial, session or machine"
        per_machine = session * _mean_inverse([len(machine) for machine in machines])
        left = per_machine if df_session else per_session
        found.append((level, max(0.0, sd**2 - left), len(machines) - 1))
    total = math.fsum(variance for _, variance, _ in found)
    return tuple(
        Component(level=level, variance=v, share=v / total if total else 0.0, df=df)
        for level, v, df in found
    )
