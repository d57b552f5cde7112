"""What mlcommons/power-dev recorded beside a run: the meter, its check, the zones of the clocks."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from permille.importers import Tally
from permille.importers.reading.documents import document
from permille.importers.reading.files import Member
from permille.importers.reading.rows import lines

CLIENT, SERVER, PTD_LOGS = "client.json", "server.json", "ptd_logs.txt"
FILES = (CLIENT, SERVER, PTD_LOGS)
MOST_SHIFT_S = 26 * 3600
"""No two time zones are further apart."""
# PTDaemon's messages, as MLPerf's own checker looks for them (mlcommons/power-dev,
# compliance/check.py). The checker accepts the second during ranging; here, one anywhere in
# the log makes the accuracy unconfirmed.
_CHECKED = re.compile(r"Uncertainty checking for \S+ is activated")
_ABOVE = re.compile(r"Uncertainty [\d.]+%, which is above [\d.]+% limit")
_NAME = re.compile(r"[\w .+-]{1,60}")


class Director:
    """``meter``: its model; None if unknown. ``checked``: PTDaemon checked the uncertainty of each
    sample; ``above``: and found one above the limit."""

    def __init__(self) -> None:
        self.meter: str | None = None
        self.checked = self.above = False
        self._zones: dict[str, int] = {}

    @property
    def certified(self) -> bool:
        """Whether the meter's uncertainty was within the limit in every sample."""
        return self.checked and not self.above

    @property
    def shift_s(self) -> int:
        """Seconds to add to a time of LoadGen's machine to have the meter's; 0 if unknown."""
        if len(self._zones) < 2:
            return 0
        # ``timezone`` counts seconds west of UTC (power-dev, lib/summary.py: -tm_gmtoff).
        return self._zones[CLIENT] - self._zones[SERVER]

    def read(self, member: Member, tally: Tally) -> None:
        """Add what one of :data:`FILES` says."""
        name = PurePosixPath(member.name).name
        if name == PTD_LOGS:
            tally.files += 1
            for _, line in lines(member, tally):
                self.checked = self.checked or _CHECKED.search(line) is not None
                self.above = self.above or _ABOVE.search(line) is not None
            return
        content = document(member, tally)
        if not isinstance(content, dict):
            return
        zone_s = content.get("timezone")
        if isinstance(zone_s, int) and abs(zone_s) <= MOST_SHIFT_S:
            self._zones[name] = zone_s
        if name == SERVER:
            self.meter = _meter(content.get("ptd_messages"))


def _meter(messages: Any) -> str | None:
    """The model in PTDaemon's answer to ``Identify``."""
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("cmd") == "Identify":
            model = str(message.get("reply")).partition(",")[0].strip()
            return model if _NAME.fullmatch(model) else None
    return None
