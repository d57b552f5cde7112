"""Recognise an answer that is not complete yet, and wait for it.

Python code may return a promise of an answer: a generator, a coroutine, a future, or an array that
a device is still computing. Work after the end of the span would not be measured. :class:`Finisher`
turns such a promise into the answer inside the span. It only looks for frameworks that are already
loaded and imports none.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

from permille.errors import ModelError

MOST_ITEMS = 10_000_000
"""The most items of one answer: an endless generator is refused."""
DEEPEST = 8
"""The most levels of nested containers."""

_COMPLETE: frozenset[type] = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types whose objects are complete as soon as they exist."""

_Wait = Callable[[Any], object]


class Pieces(list[Any]):
    """The items of a generator or another iterator, in order."""


class Finisher:
    """Completes answers.

    How to complete a type is decided once, at its first answer: afterwards, a str, a number or None
    costs one dict lookup. There is one event loop for all calls, so that an asynchronous client
    keeps its connections; :meth:`close` releases it.
    """

    def __init__(self) -> None:
        self._loop: asyncio.Runner | None = None
        self._complete: dict[type, Callable[[Any, int], Any] | None] = dict.fromkeys(_COMPLETE)

    def finish(self, answer: Any, depth: int = 0) -> Any:
        """The complete answer. Generators are run to their end, coroutines and futures are
        awaited, lazy collections are computed, arrays are waited for; in dicts, lists and tuples
        too.

        Raises:
            ModelError: it cannot be completed. Exceptions of the user's code propagate.
        """
        kind = type(answer)
        try:
            complete = self._complete[kind]
        except KeyError:
            complete = self._complete[kind] = self._way(answer)
        if complete is None:
            return answer
        # A container that holds itself ends here, too.
        if depth > DEEPEST:
            raise ModelError(f"the answer's containers are more than {DEEPEST} levels deep")
        return complete(answer, depth)

    def close(self) -> None:
        """Close the event loop, if one was needed."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _way(self, answer: Any) -> Callable[[Any, int], Any] | None:
        """How to complete answers of this type; None if they are already complete."""
        kind = type(answer)
        # Not their subclasses: a named tuple cannot be made from a list of its items.
        if kind in (list, tuple):
            return self._sequence
        if issubclass(kind, Mapping):
            return self._mapping
        if hasattr(kind, "__struct_fields__"):
            return self._record
        wait = _array_wait(kind)
        if wait is not None:
            return functools.partial(_waited, wait)
        value = _promised_value(kind)
        if value is not None:
            return lambda promise, depth: self.finish(value(promise), depth + 1)
        if inspect.isawaitable(answer):
            return lambda promise, depth: self.finish(self._run(_awaited(promise)), depth + 1)
        if hasattr(kind, "__aiter__"):
            return lambda items, depth: self._sequence(self._run(_gathered(items)), depth)
        # Before the iterables: an array is an answer, not a promise of its items.
        if _is_module(kind, "numpy"):
            return self._numpy
        if issubclass(kind, str | bytes | bytearray | memoryview):
            return None
        if isinstance(answer, Iterable):
            return self._iterable
        if inspect.isroutine(answer) or isinstance(answer, functools.partial):
            raise ModelError(
                f"the callable returned a {kind.__name__}, which has computed nothing yet;"
                " call it, and return the answer"
            )
        return _attributes_waited if hasattr(answer, "__dict__") else None

    def _sequence(self, answer: Any, depth: int) -> Any:
        # Most answers: a copy would take time within the span.
        if set(map(type, answer)) <= _COMPLETE:
            return answer
        return type(answer)([self.finish(item, depth + 1) for item in answer])

    def _iterable(self, answer: Iterable[Any], depth: int) -> Any:
        pieces = _drained(answer)
        return self._sequence(pieces if isinstance(answer, Iterator) else list(pieces), depth)

    def _mapping(self, answer: Mapping[Any, Any], depth: int) -> Mapping[Any, Any]:
        if type(answer) is dict and set(map(type, answer.values())) <= _COMPLETE:
            return answer
        return {key: self.finish(value, depth + 1) for key, value in answer.items()}

    def _numpy(self, answer: Any, depth: int) -> Any:
        """Complete, unless it contains objects."""
        holds = hasattr(answer, "dtype") and answer.dtype.hasobject
        return self.finish(answer.tolist(), depth + 1) if holds else answer

    def _record(self, answer: Any, depth: int) -> Any:
        """A record (an Output): its fields may be promises."""
        import msgspec

        changed = {}
        for name in type(answer).__struct_fields__:
            value = getattr(answer, name)
            done = self.finish(value, depth + 1)
            if done is not value:
                changed[name] = done
        return msgspec.structs.replace(answer, **changed) if changed else answer

    def _run(self, work: Any) -> Any:
        if self._loop is None:
            import asyncio  # imported only when needed, not at every worker's start

            self._loop = asyncio.Runner()
        # Runner.run would set a signal handler around every call.
        return self._loop.get_loop().run_until_complete(work)


def synchronise() -> None:
    """Wait for the CUDA work that PyTorch has queued, on whichever of the GPUs, which may still run
    when the answer is returned. Costs two lookups if PyTorch is not loaded."""
    torch = sys.modules.get("torch")
    if torch is None or not (cuda := getattr(torch, "cuda", None)) or not cuda.is_initialized():
        return
    # Every GPU, because a model may be spread over several (device_map="auto") or have another than
    # the current one. But none without a context, on which nothing can have been queued:
    # synchronize() would make one, which puts an idle GPU into use.
    for gpu in range(cuda.device_count()):
        # Private, but torch's public way to see it (memory_stats) builds a table of a hundred
        # numbers for each GPU, within the span.
        if torch._C._cuda_hasPrimaryContext(gpu):
            cuda.synchronize(gpu)


def promise_name(answer: Any) -> str | None:
    """The kind of work that has not begun (``a generator``), or None."""
    if inspect.isasyncgen(answer):
        return "an asynchronous generator"
    if inspect.isgenerator(answer):
        return "a generator"
    return "a coroutine" if inspect.iscoroutine(answer) else None


def wait_for(answer: Any, depth: int = 0) -> None:
    """Wait for the asynchronous arrays and the futures in an answer, without changing it."""
    if depth == 0:
        synchronise()
    kind = type(answer)
    if kind in _COMPLETE or depth > DEEPEST:
        return
    if issubclass(kind, Mapping):
        answer = tuple(answer.values())
    if isinstance(answer, list | tuple):
        if not set(map(type, answer)) <= _COMPLETE:
            for item in answer:
                wait_for(item, depth + 1)
        return
    wait = _array_wait(kind) or _future_result(kind)
    if wait is not None:
        wait(answer)


def _waited(wait: _Wait, answer: Any, depth: int) -> Any:
    wait(answer)
    return answer


def _attributes_waited(answer: Any, depth: int) -> Any:
    wait_for(vars(answer), depth + 1)
    return answer


async def _awaited(answer: Any) -> Any:
    return await answer


async def _gathered(answer: Any) -> Pieces:
    pieces = Pieces()
    async for item in answer:
        _keep(pieces, item)
    return pieces


def _drained(answer: Iterable[Any]) -> Pieces:
    pieces = Pieces()
    for item in answer:
        _keep(pieces, item)
    return pieces


def _keep(pieces: Pieces, item: Any) -> None:
    if len(pieces) == MOST_ITEMS:
        raise ModelError(f"the answer is a generator that has yielded {MOST_ITEMS:,} items")
    pieces.append(item)


def _is_module(kind: type, *names: str) -> bool:
    return kind.__module__.partition(".")[0] in names


def _has(kind: type, *names: str) -> bool:
    return all(callable(getattr(kind, name, None)) for name in names)


def _array_wait(kind: type) -> _Wait | None:
    """How to wait for an array that a device may still be computing; None for other types."""
    if _has(kind, "block_until_ready"):  # JAX
        return lambda array: array.block_until_ready()
    if _is_module(kind, "mlx"):
        return lambda array: sys.modules["mlx.core"].eval(array)
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    if tensor is not None and issubclass(kind, tensor):
        return _torch_wait
    if _is_module(kind, "cupy"):
        return lambda array: array.device.synchronize()
    if _is_module(kind, "tensorflow") and _has(kind, "numpy"):
        return lambda array: array.numpy()
    if _is_module(kind, "tinygrad") and _has(kind, "realize"):
        return _tinygrad_wait
    if _is_module(kind, "PIL") and _has(kind, "load"):  # an opened image may not be decoded yet
        return lambda image: image.load()
    return None


def _tinygrad_wait(tensor: Any) -> None:
    tensor.realize()
    # On a GPU that only queues the work; tinygrad's own benchmarks wait like this.
    devices = sys.modules["tinygrad.device"].Device
    for name in [tensor.device] if isinstance(tensor.device, str) else tensor.device:
        devices[name].synchronize()


def _torch_wait(tensor: Any) -> None:
    device = tensor.device
    if device.type != "cpu":
        module = getattr(sys.modules["torch"], device.type, None)
        if module is not None and hasattr(module, "synchronize"):
            # torch.mps.synchronize takes no device: a Mac has one.
            module.synchronize(*([] if device.type == "mps" else [device]))


def _future_result(kind: type) -> Callable[[Any], Any] | None:
    """How to wait for the result of a future; None for other types."""
    asyncio_future = getattr(sys.modules.get("asyncio"), "Future", None)
    if asyncio_future is not None and issubclass(kind, asyncio_future):
        return None  # awaited in its own loop
    if _has(kind, "result", "done"):  # concurrent.futures, Dask
        return lambda future: future.result()
    if _has(kind, "get", "ready", "wait"):  # multiprocessing.pool.AsyncResult
        return lambda future: future.get()
    if _has(kind, "wait", "done", "value"):  # torch.futures
        return lambda future: future.wait()
    return None


def _promised_value(kind: type) -> Callable[[Any], Any] | None:
    """How to compute the value of a lazy object; None for other types."""
    if _has(kind, "compute") and hasattr(kind, "__dask_graph__"):
        return lambda collection: collection.compute()
    if _is_module(kind, "polars") and _has(kind, "collect"):
        return lambda frame: frame.collect()
    return _future_result(kind)
