"""At the end of a measurement, only meters that matter here are named."""

from __future__ import annotations

import pytest

from permille.cli.missing_meters import notable
from permille.recorder.wire import Missing


@pytest.mark.parametrize(("named", "meters"), [("", ["rapl"]), ("rapl,nvml", ["rapl", "nvml"])])
def test_hardware_that_is_not_here_is_named_only_if_the_user_named_it(
    monkeypatch: pytest.MonkeyPatch, named: str, meters: list[str]
) -> None:
    monkeypatch.setenv("PERMILLE_METERS", named)
    missing = [
        Missing(meter=meter, reason="?", remedy="!", forbidden=here, present=here)
        for meter, here in (("rapl", True), ("nvml", False))
    ]
    assert [meter.meter for meter in notable(missing)] == meters
