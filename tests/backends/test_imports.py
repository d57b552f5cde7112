from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "numpy",
    "onnxruntime",
    "tokenizers",
    "xllamacpp",
    "vaderSentiment",
    "scipy",
    "rouge_score",
    "sacrebleu",
    "torch",
    "transformers",
)


def test_what_is_heavy_is_imported_on_loading_a_model_only() -> None:
    code = (
        "import sys\n"
        "from permille import assets, plugins, presets\n"
        "import permille.datasets.opening, permille.presets.vader\n"
        "for group in ('backends', 'tasks'):\n"
        "    for name in plugins.names(group):\n"
        "        plugins.load(group, name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
