"""Answers that are not there yet: completed, whatever form the promise has."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
import pytest

from permille import finishing
from permille.errors import ModelError
from permille.finishing import Finisher
from permille.workload.outputs import Output


@pytest.fixture
def finisher() -> Iterator[Finisher]:
    made = Finisher()
    yield made
    made.close()


class Array:
    """An array as JAX's: a device may still compute it."""

    def __init__(self) -> None:
        self.ready = False

    def block_until_ready(self) -> Array:
        self.ready = True
        return self


class Collection:
    """A collection as Dask's."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __dask_graph__(self) -> dict[str, Any]:
        return {}

    def compute(self) -> Any:
        return self._value


class Countdown:
    """Iterates by ``__iter__`` alone, and works meanwhile."""

    def __iter__(self) -> Iterator[int]:
        yield from (3, 2, 1)


class Awaitable:
    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return "awaited"


def _generator() -> Iterator[str]:
    yield "a"
    yield "b"


async def _coroutine() -> str:
    await asyncio.sleep(0)
    return "later"


async def _of_coroutines() -> Any:
    return [_coroutine(), (_coroutine(),)]


async def _async_generator() -> AsyncIterator[str]:
    yield "a"
    await asyncio.sleep(0)
    yield "b"


@pytest.mark.parametrize(
    ("make", "complete"),
    [
        (lambda: "plain", "plain"),
        (lambda: None, None),
        (lambda: [1.0, "a", None], [1.0, "a", None]),
        (lambda: {"a": {"b": (1, 2)}}, {"a": {"b": (1, 2)}}),
        (_generator, ["a", "b"]),
        (lambda: map(str, (1, 2)), ["1", "2"]),
        (lambda: iter({"a": 1}), ["a"]),
        (Countdown, [3, 2, 1]),
        (lambda: range(3), [0, 1, 2]),
        (_coroutine, "later"),
        (_of_coroutines, ["later", ("later",)]),
        (Awaitable, "awaited"),
        (_async_generator, ["a", "b"]),
        (lambda: Collection("computed"), "computed"),
        (lambda: Collection(_generator()), ["a", "b"]),
        (lambda: {"a": [_generator()], "b": (_coroutine(),)}, {"a": [["a", "b"]], "b": ("later",)}),
        (lambda: Output(data=_generator()), Output(data=["a", "b"])),
        (lambda: Output(label="x", data=[1.0]), Output(label="x", data=[1.0])),
    ],
)
def test_every_promise_becomes_its_answer(
    finisher: Finisher, make: Callable[[], Any], complete: Any
) -> None:
    for _ in range(2):  # the second time the type is known
        assert finisher.finish(make()) == complete


def test_futures_are_waited_for_and_their_errors_passed_on(finisher: Finisher) -> None:
    with ThreadPoolExecutor() as pool:
        assert finisher.finish([pool.submit(str, 7)]) == ["7"]
        with pytest.raises(ZeroDivisionError):
            finisher.finish(pool.submit(lambda: 1 / 0))
    with ThreadPool(1) as threads:
        assert finisher.finish(threads.apply_async(str, (8,))) == "8"


def test_arrays_are_waited_for_wherever_they_are(finisher: Finisher) -> None:
    arrays = [Array() for _ in range(4)]
    answer = {"a": arrays[0], "b": [(arrays[1],)]}
    assert finisher.finish(answer) == {"a": arrays[0], "b": [(arrays[1],)]}
    holder = types.SimpleNamespace(images=[arrays[2]])
    assert finisher.finish(holder) is holder
    assert finisher.finish(arrays[3]) is arrays[3]
    assert all(array.ready for array in arrays)


def test_the_decorators_answers_are_waited_for_and_left_as_they_are() -> None:
    array, future = Array(), Future[str]()
    future.set_result("x")
    generator = _generator()
    answer = {"a": [array, future], "b": generator}
    finishing.wait_for(answer)
    assert array.ready
    assert answer == {"a": [array, future], "b": generator}
    assert next(generator) == "a"


def test_mlx_is_told_to_evaluate(finisher: Finisher, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[Any] = []
    core: Any = types.ModuleType("mlx.core")
    core.eval = evaluated.append
    kind = type("array", (), {"__module__": "mlx.core"})
    monkeypatch.setitem(sys.modules, "mlx.core", core)
    array = kind()
    assert finisher.finish([array]) == [array]
    assert evaluated == [array]


@pytest.mark.parametrize("device", ["CUDA", ("CUDA:0", "CUDA:1")])
def test_tinygrads_devices_are_waited_for_after_the_work_is_queued(
    finisher: Finisher, monkeypatch: pytest.MonkeyPatch, device: str | tuple[str, ...]
) -> None:
    done: list[str] = []

    class Devices(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            return types.SimpleNamespace(synchronize=lambda: done.append(name))

    module: Any = types.ModuleType("tinygrad.device")
    module.Device = Devices()
    monkeypatch.setitem(sys.modules, "tinygrad.device", module)
    kind = type(
        "Tensor",
        (),
        {
            "__module__": "tinygrad.tensor",
            "device": device,
            "realize": lambda self: done.append("queued"),
        },
    )
    tensor = kind()
    assert finisher.finish([tensor]) == [tensor]
    assert done == ["queued", *([device] if isinstance(device, str) else device)]


@pytest.mark.parametrize("used", [{0}, {0, 2}, {1}, set()])
def test_cuda_is_synchronised_where_it_was_used(
    monkeypatch: pytest.MonkeyPatch, used: set[int]
) -> None:
    waited: list[int] = []
    torch: Any = types.ModuleType("torch")
    torch._C = types.SimpleNamespace(_cuda_hasPrimaryContext=lambda gpu: gpu in used)
    torch.cuda = types.SimpleNamespace(
        is_initialized=lambda: bool(used),
        device_count=lambda: 4,
        synchronize=lambda gpu=0: waited.append(gpu),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    finishing.synchronise()
    assert waited == sorted(used)


def test_a_tensors_own_device_is_waited_for(
    finisher: Finisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[Any] = []

    class Tensor:
        def __init__(self, device: str) -> None:
            self.device = types.SimpleNamespace(type=device)

    torch: Any = types.ModuleType("torch")
    torch.Tensor = Tensor
    torch.cuda = types.SimpleNamespace(synchronize=waited.append)
    torch.mps = types.SimpleNamespace(synchronize=lambda: waited.append("mps"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    on_cuda = Tensor("cuda")
    finisher.finish({"a": on_cuda, "b": Tensor("cpu"), "c": Tensor("mps")})
    assert waited == [on_cuda.device, "mps"]


@pytest.mark.parametrize("answer", [len, lambda: "x", partial(str, 1)])
def test_a_function_is_no_answer(finisher: Finisher, answer: Any) -> None:
    with pytest.raises(ModelError, match="which has computed nothing yet"):
        finisher.finish(answer)


def test_what_has_no_end_is_refused(finisher: Finisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "MOST_ITEMS", 5)

    def endless() -> Iterator[int]:
        while True:
            yield 1

    with pytest.raises(ModelError, match="yielded 5 items"):
        finisher.finish(endless())
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(ModelError, match="levels deep"):
        finisher.finish(knot)


def test_numpys_arrays_are_left_as_they_are_unless_they_hold_promises(finisher: Finisher) -> None:
    array = np.ones(3)
    assert finisher.finish(array) is array
    assert finisher.finish(np.array([_generator(), None])) == [["a", "b"], None]
