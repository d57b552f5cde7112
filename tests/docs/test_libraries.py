"""The page's examples, with tiny models in the folders that they name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S
from tests.docs.pages import DOCS
from tests.integrations.optional import needs
from tests.powercap import Driver
from tests.tiny_models import bert

pytestmark = [pytest.mark.slow, pytest.mark.measuring]

PAGE = (DOCS / "libraries.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^## (\S+)\n.*?```python\n(.*?)```", PAGE, re.DOTALL | re.M))


def test_every_adapter_has_an_example() -> None:
    assert list(BLOCKS) == [
        "transformers", "sentence-transformers", "LangChain", "LlamaIndex", "lm-eval",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "printed"),
    [
        pytest.param("transformers", r"Estimate\(.*\) 400"),
        pytest.param("sentence-transformers", r"Estimate\(", marks=needs("sentence_transformers")),
        pytest.param("LangChain", r"Estimate\(", marks=needs("langchain_core")),
        pytest.param("LlamaIndex", r"1 (.*too short|None)", marks=needs("llama_index")),
    ],
)
def test_the_example_runs(
    powercap: Driver, environment: dict[str, str], tmp_path: Path, title: str, printed: str
) -> None:
    if title == "transformers":
        bert(tmp_path / "classifier", "BertForSequenceClassification")
    elif title == "sentence-transformers":
        bert(tmp_path / "encoder", "BertModel")
    program = tmp_path / "example.py"
    program.write_text(BLOCKS[title])
    done = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(printed, done.stdout), done.stdout
