from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from permille.workload.samples import Sample

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_head.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_head", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "train_head" not in sys.modules
    return module


def test_the_fit_is_where_the_penalised_loss_is_flat(script: ModuleType) -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(200, 3))
    y = np.where(x @ [2.0, -1.0, 0.0] + 0.5 + random.normal(size=200) > 0, 1.0, -1.0)
    weights, bias = script.fit(x, y, 0.7)
    # d/dw of sum log(1 + exp(-y f)) + 0.35 |w|^2, by hand
    pull = -y / (1 + np.exp(y * (x @ weights + bias)))
    np.testing.assert_allclose(pull @ x + 0.7 * weights, 0, atol=1e-2)
    assert pull.sum() == pytest.approx(0, abs=1e-2)
    assert script.accuracy(x, y, (weights, bias)) > 0.8


def test_a_quarter_is_set_aside_whatever_the_order(script: ModuleType) -> None:
    samples = [Sample(id=str(n), inputs={"text": f"text {n}"}) for n in range(2_000)]
    aside = script.held_out(samples)
    assert 0.2 < aside.mean() < 0.3
    assert (script.held_out(samples[::-1]) == aside[::-1]).all()
