"""Hatch's hook: a wheel is built with the explorer's page in it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExplorerPage(BuildHookInterface[Any]):
    """Runs ``scripts/build_explorer.py`` for a wheel, and nothing for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, if its packages can be had and the source holds no built one (an sdist
        may)."""
        script = Path(self.root) / "scripts" / "build_explorer.py"
        built = Path(self.root) / "src" / "permille" / "explorer" / "_static" / "explorer.js"
        if version == "editable" or built.exists():
            return
        # By its file: where Hatch runs this, scripts/ is not on sys.path.
        spec = importlib.util.spec_from_file_location("build_explorer", script)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"cannot load {script}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        try:
            module.build()
        # Without the npm registry everything but the page can still be installed.
        except (SystemExit, OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(built.parent, ignore_errors=True)  # half a page is none
            self.app.display_warning(
                f"the explorer's page could not be built ({error}): `permille explore` and"
                " `permille export html` will not work; run `make static` where npm's registry can"
                " be reached, then install again"
            )
