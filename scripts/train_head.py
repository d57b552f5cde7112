"""Train the quick start's classification head on MiniLM's embeddings; write it with its history.

    python scripts/train_head.py [--out src/permille/presets/minilm-sentiment-head.json]

Logistic regression with an L2 penalty on the 4,000 training sentences of vader-movie-reviews.
The penalty is chosen on a quarter of them, set aside; the test sentences are used once, to report.
Deterministic: no randomness is used, and the optimiser starts at 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from permille import assets
from permille.assets import pins
from permille.backends.onnx.text import TextModel, embedding
from permille.datasets.bundled import movie_reviews
from permille.datasets.rows import digest
from permille.workload.samples import Sample

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src" / "permille" / "presets" / "minilm-sentiment-head.json"
LABELS = ("negative", "positive")
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

Floats = NDArray[np.float64]


def embeddings(samples: Sequence[Sample]) -> Floats:
    """N x D, one row a sentence, as the onnx backend computes them."""
    folder = assets.path("minilm-int8")
    model = TextModel("minilm", folder / "model.onnx", folder / "tokenizer.json")
    output = next(iter(model.outputs))
    rows = [embedding(*model.run(sample.inputs["text"], output)) for sample in samples]
    return np.stack(rows).astype(np.float64)


def signs(samples: Sequence[Sample]) -> Floats:
    """+1 for positive, -1 for negative."""
    return np.array([1.0 if sample.reference == "positive" else -1.0 for sample in samples])


def fit(x: Floats, y: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights (D) and bias that minimise sum log(1 + exp(-y f(x))) + penalty/2 |weights|^2."""

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = y * (x @ weights + bias)
        slope = -y / (1.0 + np.exp(margin))
        # Written out, log(1 + exp(z)) overflows for a large z.
        value = float(np.logaddexp(0.0, -margin).sum() + penalty / 2 * weights @ weights)
        return value, np.append(slope @ x + penalty * weights, slope.sum())

    start = np.zeros(x.shape[1] + 1)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    if not found.success:
        raise SystemExit(f"the fit did not converge: {found.message}")
    return found.x[:-1], float(found.x[-1])


def accuracy(x: Floats, y: Floats, head: tuple[Floats, float]) -> float:
    """The share of rows whose sign the head gets."""
    weights, bias = head
    return float(np.mean(np.where(x @ weights + bias > 0, 1.0, -1.0) == y))


def held_out(samples: Sequence[Sample]) -> NDArray[np.bool_]:
    """A quarter of the samples by their text's hash, whatever their order."""
    digests = [hashlib.sha256(s.inputs["text"].encode()).digest()[0] for s in samples]
    return np.array([first < 64 for first in digests])


def main() -> None:
    """Train, report, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out: Path = parser.parse_args().out

    test, train = movie_reviews()
    x, y, aside = embeddings(train), signs(train), held_out(train)
    scores = {
        penalty: accuracy(x[aside], y[aside], fit(x[~aside], y[~aside], penalty))
        for penalty in PENALTIES
    }
    for penalty, score in scores.items():
        print(f"penalty {penalty:<6} held-out accuracy {score:.4f}")
    penalty = max(scores, key=lambda p: scores[p])
    weights, bias = fit(x, y, penalty)
    tested = accuracy(embeddings(test), signs(test), (weights, bias))
    print(f"penalty {penalty}: accuracy on {len(test)} test sentences {tested:.4f}")

    # f(x) > 0 is positive; two rows of half of it each give the same answer.
    head = {
        "format": "permille-head-1",
        "labels": LABELS,
        "weights": [[round(float(s * w / 2), 6) for w in weights] for s in (-1, 1)],
        "bias": [round(s * bias / 2, 6) for s in (-1, 1)],
        "trained": {
            "script": "scripts/train_head.py",
            "method": "logistic regression, L2 penalty",
            "penalty": penalty,
            "encoder_sha256": pins.ASSETS["minilm-int8"].members[0].sha256,
            "dataset": "vader-movie-reviews, training part",
            "dataset_sha256": digest(tuple(train)),
            "sentences": len(train),
            "seed": None,
            "held_out": {"sentences": int(aside.sum()), "accuracy": round(scores[penalty], 4)},
            "test": {"sentences": len(test), "accuracy": round(tested, 4)},
        },
    }
    out.write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
