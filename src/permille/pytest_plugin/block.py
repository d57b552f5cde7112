"""What the ``energy`` fixture gives to a test: measured blocks, their limits and their ratio."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from permille.errors import MeterError, UsageError
from permille.units import format_number

if TYPE_CHECKING:  # a session without a block loads neither numpy nor msgspec
    from permille.analysis.spans import Measured, Result
    from permille.api.session import Session
    from permille.records.energy import Estimate

SETTINGS = frozenset({"idle", "boundary", "pue", "require", "shared"})


class CannotTell(AssertionError):
    """The interval includes the limit, or there is none: the test neither passed nor failed."""


def checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments for ``permille.record``.

    Raises:
        UsageError: one that it does not have.
    """
    if unknown := sorted(settings.keys() - SETTINGS):
        raise UsageError(
            f"energy has no setting {unknown[0]!r}; it takes: {', '.join(sorted(SETTINGS))}"
        )
    return settings


class Ratio:
    """A ratio of two energies, which ``<`` and ``>`` compare with a limit by its whole interval.

    Both raise :class:`CannotTell` while the interval includes the limit.
    """

    def __init__(self, estimate: Estimate) -> None:
        self.value, self.low, self.high = estimate.value, estimate.low, estimate.high

    def __lt__(self, limit: float) -> bool:
        return self._side(limit) < 0

    def __gt__(self, limit: float) -> bool:
        return self._side(limit) > 0

    def __repr__(self) -> str:
        if self.low is None or self.high is None:
            return f"ratio {format_number(self.value)} (no interval)"
        ends = f"{format_number(self.low)} to {format_number(self.high)}"
        return f"ratio {format_number(self.value)} (95 %: {ends})"

    def _side(self, limit: float) -> int:
        if self.low is None or self.high is None:
            raise CannotTell(f"{self!r}: put the work in each block in two or more e.repeat()")
        return _side_of(limit, self.low, self.high, repr(self))


class MeasuredBlock:
    """One measured block of a test, with its result after it ended."""

    def __init__(self, name: str, inferences: int | None, session: Session) -> None:
        self.name = name
        self._inferences, self._session = inferences, session
        self._repeats = 0

    @contextmanager
    def repeat(self) -> Iterator[None]:
        """One of several repeats of the same work, each with the block's ``inferences``."""
        with self._session.span("repeat", inferences=self._inferences):
            yield
        # Only a repeat that has ended counts: if the first one raises, the result is that of the
        # whole block.
        self._repeats += 1

    @property
    def result(self) -> Result:
        """The result: of a repeat, if there are any; otherwise of the block.

        Raises:
            UsageError: the block has not ended.
        """
        return self._session["repeat" if self._repeats else "block"]

    def below(self, *, joules: float) -> None:
        """Check that the whole interval of the energy is below ``joules``.

        Raises:
            AssertionError: it is above, or there is no figure.
            CannotTell: the interval includes the limit.
        """
        energy = self._energy()
        if energy.low is None or energy.high is None:
            raise CannotTell(f"{self.name}: {format_number(energy.value)} J, without an interval")
        ends = f"{format_number(energy.low)} to {format_number(energy.high)}"
        figure = f"{self.name}: {format_number(energy.value)} J (95 %: {ends})"
        if _side_of(joules, energy.low, energy.high, figure) > 0:
            raise AssertionError(f"{figure} is not below {joules:g} J")

    def ratio_to(self, other: MeasuredBlock) -> Ratio:
        """The energy of this block over that of another, both of as many inferences.

        Raises:
            UsageError: the numbers of inferences or the boundaries differ.
            AssertionError: one of them has no figure.
        """
        from permille.analysis.commands import unpaired_ratio
        from permille.errors import CompareError

        if self._inferences != other._inferences:
            raise UsageError(
                "a ratio needs blocks with the same number of inferences, not"
                f" {self._inferences} and {other._inferences}"
            )
        mine, theirs = self.result, other.result
        if (mine.boundary, mine.pue) != (theirs.boundary, theirs.pue):
            raise UsageError("a ratio needs blocks with the same boundary and PUE")
        self._energy()
        other._energy()
        try:
            ratio = unpaired_ratio(_runs(self._spans()), _runs(other._spans()), mine.boundary)
        except CompareError as error:
            raise AssertionError(str(error)) from error
        return Ratio(ratio)

    def _spans(self) -> list[Measured]:
        return self._session.measured("repeat" if self._repeats else "block")

    def _energy(self) -> Estimate:
        result = self.result
        if result.energy is None or not result.valid:
            raise AssertionError(f"{self.name}: no figure: {result.reason}")
        return result.energy


class Energy:
    """The ``energy`` fixture: ``with energy(inferences=100) as e: …``."""

    def __init__(
        self, settings: dict[str, Any], ended: Callable[[MeasuredBlock], None], refused: str | None
    ) -> None:
        self._settings, self._report, self._refused = settings, ended, refused
        self._running = False
        self._made = 0

    @contextmanager
    def __call__(
        self, *, inferences: int | None = None, name: str | None = None, **settings: Any
    ) -> Iterator[MeasuredBlock]:
        """Measure a block. ``settings`` are those of ``permille.record``, and replace those of
        the marker. With ``require="measured"`` the test is skipped where nothing is.

        Raises:
            UsageError: an argument is wrong, or another block is running.
        """
        from permille.api.session import record

        if self._refused is not None:
            raise UsageError(self._refused)
        if self._running:
            raise UsageError("two energy blocks of a test overlap: end one before the next begins")
        chosen = self._settings | checked_settings(settings)
        session = record(**chosen)
        self._made += 1
        block = MeasuredBlock(name or f"block {self._made}", inferences, session)
        self._running = True
        try:
            with contextlib.ExitStack() as recording:
                _enter(recording, session, required=chosen.get("require") == "measured")
                with session.span("block", inferences=inferences):
                    yield block
        finally:
            self._running = False
            if session.ended and session.results:
                self._report(block)


def _enter(recording: contextlib.ExitStack, session: Session, *, required: bool) -> None:
    try:
        # Around the start alone: a MeterError of the test's own code must not look like a skip.
        recording.enter_context(session)
    except MeterError as error:
        if not required:
            raise
        pytest.skip(str(error))


def _runs(spans: list[Measured]) -> tuple[list[Any], list[Any]]:
    return [span.phase for span in spans], [span.idle for span in spans]


def _side_of(limit: float, low: float, high: float, figure: str) -> int:
    """-1 if the interval is below the limit, 1 if it is above.

    Raises:
        CannotTell: it includes the limit.
    """
    if high < limit:
        return -1
    if low > limit:
        return 1
    raise CannotTell(f"cannot tell: {figure} includes the limit {limit:g}")
