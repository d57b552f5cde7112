"""``@permille.measured``: record every call of a function."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, cast, overload

import msgspec

from permille.analysis.spans import Measured, Result, pooled
from permille.api.open_span import checked_inferences
from permille.api.session import Session, record
from permille.errors import UsageError
from permille.finishing import promise_name, wait_for
from permille.records.energy import Boundary

P = ParamSpec("P")
R = TypeVar("R")


class MeasuredFunction(Generic[P, R]):
    """A function whose calls are measured; made by :func:`measured`."""

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, R],
        inferences: int | Callable[[Any], int] | None,
        settings: dict[str, Any],
    ) -> None:
        functools.update_wrapper(self, function)
        self._function, self._inferences, self._settings = function, inferences, settings
        self._name = function.__qualname__
        # Frameworks ask whether it is to be awaited; before 3.12 no object could say so of itself.
        if sys.version_info >= (3, 12) and inspect.iscoroutinefunction(function):
            inspect.markcoroutinefunction(cast("Callable[..., Any]", self))
        self._calls: list[Measured] = []
        self._notes: dict[str, None] = {}
        self._running = 0
        self._overlapped = False
        self._counting = threading.Lock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function in its own recording, which ends when its answer is complete."""
        if inspect.iscoroutinefunction(self._function):
            return cast("R", self._awaited(self._function, *args, **kwargs))
        if inspect.isasyncgenfunction(self._function):
            return cast("R", self._gathered(self._function, *args, **kwargs))
        with self._recorded() as answers:
            answer = self._function(*args, **kwargs)
            if inspect.isgeneratorfunction(self._function):
                items = list(cast("Iterator[Any]", answer))
                wait_for(items)
                answers.append(items)
                return cast("R", iter(items))
            if (promise := promise_name(answer)) is not None:
                raise UsageError(
                    f"{self._name} returned {promise}, whose work has not begun; put a span where"
                    " it is awaited or consumed"
                )
            wait_for(answer)
            answers.append(answer)
        return answer

    async def _awaited(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._recorded() as answers:
            answer = await function(*args, **kwargs)
            wait_for(answer)
            answers.append(answer)
        return answer

    async def _gathered(
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        with self._recorded() as answers:
            items = [item async for item in function(*args, **kwargs)]
            wait_for(items)
            answers.append(items)
        # After the recording: what the caller does between two items is not the function's work.
        for item in items:
            yield item

    @contextmanager
    def _recorded(self) -> Iterator[list[Any]]:
        """Record one call; ``inferences`` is computed from the answer that is put in the list."""
        session = record(**self._settings)
        answers: list[Any] = []
        with self._counting:
            self._overlapped |= self._running > 0
            self._running += 1
        try:
            with session, session.span(self._name):
                yield answers
        finally:
            with self._counting:
                self._running -= 1
            # Not in a forked child that leaves the call: the recording is its parent's.
            if session.ended:
                self._keep(session)
        # After the recording has ended: counting the answer is no part of the call.
        if self._inferences is not None and answers and session.ended:
            count = self._inferences
            n = count if isinstance(count, int) else count(answers[0])
            last = self._calls[-1]
            phase = msgspec.structs.replace(last.phase, inferences=checked_inferences(n))
            self._calls[-1] = msgspec.structs.replace(last, phase=phase)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Callable[..., R]: ...
    def __get__(self, instance: object | None, owner: Any = None) -> Any:
        """As a method: ``obj.method(…)``; its result is then ``type(obj).method.result``."""
        return self if instance is None else types.MethodType(self, instance)

    @property
    def result(self) -> Result:
        """The energy of a call, over all calls so far.

        Raises:
            UsageError: it has not been called, or calls overlapped.
        """
        if self._overlapped:
            raise UsageError(
                f"calls of {self._name} overlapped, and each recording holds the energy of the"
                " whole machine: make one recording around all of them, with a span in each"
            )
        if not self._calls:
            raise UsageError(f"{self._name} has not been called, so nothing was measured")
        return pooled(
            self._name,
            self._calls,
            boundary=self._settings["boundary"],
            pue=self._settings["pue"],
            notes=tuple(self._notes),
        )

    def forget(self) -> None:
        """Discard the calls so far from ``result``, for example those of a warm-up."""
        self._calls.clear()
        self._notes.clear()
        # A call that is still running may have overlapped one of those that are forgotten.
        self._overlapped = self._running > 0

    def _keep(self, session: Session) -> None:
        self._calls += session.measured(self._name)
        self._notes |= dict.fromkeys(session.notices)


class Decorator(Protocol):
    """Preserves the parameters and the return type of the decorated function."""

    def __call__(self, function: Callable[P, R], /) -> MeasuredFunction[P, R]:
        """Wrap the function."""
        ...


def measured(
    *,
    inferences: int | Callable[[Any], int] | None = None,
    idle: float = 0.0,
    boundary: Boundary = "compute",
    pue: float = 1.0,
    require: Literal["measured"] | None = None,
    shared: bool = False,
) -> Decorator:
    """A decorator: every call of the function makes its own recording with one span.

    ``inferences`` is the number that a call makes, or a function of its return value (``len``). The
    other arguments are those of :func:`record`; so are the errors, which are raised at the call.
    Starting a recorder takes a few tenths of a second around each call; inside a recording, use its
    ``span`` instead.

    The call ends when its answer is complete. A coroutine is measured while it is awaited, with
    everything else that its event loop does. A generator is consumed within the call, and the
    caller iterates over the collected items afterwards. Futures, and arrays that a device is still
    computing, are waited for. A function that returns a coroutine or a generator created elsewhere
    is refused with a UsageError at the call, because its work has not begun.
    """
    if isinstance(inferences, int):
        checked_inferences(inferences)
    settings: dict[str, Any] = {
        "idle": idle,
        "boundary": boundary,
        "pue": pue,
        "require": require,
        "shared": shared,
    }
    record(**settings)  # check the settings now, without starting anything

    def decorate(function: Callable[P, R]) -> MeasuredFunction[P, R]:
        return MeasuredFunction(function, inferences, settings)

    return decorate
