"""Where it goes: every joule of the machine is in a component that has a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from permille.explorer import static_file
from permille.records.energy import DomainEnergy, Phase
from permille.records.trial import Trial
from permille.store import Store
from tests.explorer.conftest import SCREEN, Tab, until
from tests.records import cell, joules, trial

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

WALL = joules(100.0, "node", meter="wall", covers=("cpu", "dram", "gpu", "other"))
MACHINES = {
    "wall": {"cpu:0": joules(30.0), "dram:0": joules(10.0, "dram"), "wall:0": WALL},
    "laptop": {"cpu:0": joules(30.0), "ane:0": joules(10.0, "other")},
    "server": {"cpu:0": joules(30.0), "gpu:0": joules(90.0, "gpu")},
}
SHARES = {
    "wall": {"CPU": "30 %", "DRAM": "10 %", "rest of the machine": "60 %"},
    "laptop": {"CPU": "75 %", "other components": "25 %"},
    "server": {"CPU": "25 %", "GPUs in use": "75 %"},
    # Of all: what each machine has of it, over the energy of all three, with or without its meter.
    "mixed": {
        "GPUs in use": "34.6 % (metered in 1 of 3 cells)",
        "CPU": "34.6 %",
        "DRAM": "3.85 % (metered in 1 of 3 cells)",
        "other components": "3.85 % (metered in 1 of 3 cells)",
        "rest of the machine": "23.1 % (metered in 1 of 3 cells)",
    },
}
ROWS = """() => [...document.querySelectorAll("main table")]
  .filter(t => t.caption.innerText.startsWith("Share of the machine")).map(table => {
    const heads = [...table.tHead.rows[0].cells].map(c => c.innerText);
    return [...table.tBodies[0].rows].map(row =>
      Object.fromEntries([...row.cells].map((c, i) => [heads[i], c.innerText])));
  })"""


def run(study: str, model: str, domains: dict[str, DomainEnergy]) -> list[Trial]:
    query = Phase(seconds=10.0, domains=domains, inferences=1000)
    return [
        trial(model=model, study=study, uid=f"{study}-{model}-{i}", cell=cell(model),
              phases={"query": query}, repeat=i)
        for i in range(2)
    ]  # fmt: skip


def test_the_components_of_any_machine_add_up_to_it(
    browser: Browser, tmp_path: Path, built: None
) -> None:
    store = tmp_path / "machines.db"
    with Store(store) as opened:
        for name, domains in MACHINES.items():
            for one in (*run(name, "m", domains), *run("mixed", name, domains)):
                opened.add(one, None)
    file = store.with_suffix(".html")
    file.write_bytes(static_file.page(store).content)
    context = browser.new_context(viewport=SCREEN, offline=True)
    tab = Tab(context.new_page(), file.as_uri())
    tab.go("view=breakdown&origin=store")
    until(lambda: tab.page.locator("figure svg .pt > *").count() > 0)
    (rows,) = tab.page.evaluate(ROWS)
    shares = {
        row["Task"].split(" · ")[1]: {
            part: share
            for part, share in row.items()
            if part not in ("Task", "Cells") and share != "n/a"
        }
        for row in rows
    }
    assert shares == SHARES
    bars = tab.page.locator("main figure").first.locator("svg .pt > *")
    assert bars.count() == sum(map(len, SHARES.values()))
    assert "beyond the components that have meters of their own" in tab.text()
    assert "such as a neural engine" in tab.text()
    tab.go("view=breakdown&origin=store&study=server")
    until(lambda: "GPUs in use" in tab.text())
    assert "neural engine" not in tab.text()
    assert "other components" not in tab.text()
    context.close()
