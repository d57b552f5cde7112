"""Firefox by its own remote protocol, Marionette: JSON messages over a socket, each after its
length. Playwright drives only a Firefox of its own build."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import PATIENCE_S

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's reference, as WebDriver defines it."""
PREFERENCES: dict[str, bool | int | str] = {
    "marionette.port": 0,  # a free one, which is written into the profile
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.enabled": False,
    "network.proxy.type": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.startup.page": 0,
    "extensions.update.enabled": False,
    "browser.download.folderList": 2,
    "browser.download.useDownloadDir": True,
    "browser.helperApps.neverAsk.saveToDisk": "text/csv,application/json,image/svg+xml",
}


class Firefox:
    """A window of Firefox."""

    def __init__(self, connection: socket.socket, downloads: Path) -> None:
        self.downloads = downloads
        self._connection = connection
        self._buffer = b""
        self._asked = 0
        self._receive()  # its greeting
        self.command("WebDriver:NewSession", {"acceptInsecureCerts": False})

    def command(self, name: str, parameters: dict[str, Any] | None = None) -> Any:
        """One command of WebDriver, and its value."""
        self._asked += 1
        message = json.dumps([0, self._asked, name, parameters or {}]).encode()
        self._connection.sendall(str(len(message)).encode() + b":" + message)
        _, number, error, result = self._receive()
        assert number == self._asked
        assert error is None, f"{name}: {error}"
        return result.get("value") if isinstance(result, dict) else result

    def _receive(self) -> Any:
        while b":" not in self._buffer:
            self._more()
        length, _, rest = self._buffer.partition(b":")
        self._buffer = rest
        while len(self._buffer) < int(length):
            self._more()
        message, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return json.loads(message)

    def _more(self) -> None:
        received = self._connection.recv(1 << 16)
        assert received, "Firefox has closed the connection"
        self._buffer += received

    def go(self, address: str) -> None:
        """Load a page."""
        self.command("WebDriver:Navigate", {"url": address})

    def ask(self, expression: str, *arguments: Any) -> Any:
        """The value of an expression of JavaScript."""
        script = {"script": f"return ({expression});", "args": list(arguments)}
        return self.command("WebDriver:ExecuteScript", script)

    def find(self, selector: str) -> str:
        """The reference of the first element."""
        how = {"using": "css selector", "value": selector}
        return str(self.command("WebDriver:FindElement", how)[ELEMENT])

    def click(self, selector: str) -> None:
        """Click as a person does: what is covered or out of sight is not clicked."""
        self.command("WebDriver:ElementClick", {"id": self.find(selector)})

    def type(self, selector: str, text: str) -> None:
        """Press keys in an element."""
        self.command("WebDriver:ElementSendKeys", {"id": self.find(selector), "text": text})

    def move(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to a place of the window, and click there."""
        actions: list[dict[str, Any]] = [{"type": "pointerMove", "x": round(x), "y": round(y)}]
        if click:
            actions += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        mouse = {"type": "pointer", "id": "mouse", "actions": actions}
        self.command("WebDriver:PerformActions", {"actions": [mouse]})


@contextlib.contextmanager
def opened(program: str, folder: Path) -> Iterator[Firefox]:
    """Firefox with a profile of its own in a folder, without a screen."""
    profile, downloads = folder / "profile", folder / "downloads"
    profile.mkdir()
    downloads.mkdir()
    preferences = PREFERENCES | {"browser.download.dir": str(downloads)}
    (profile / "user.js").write_text(
        "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in preferences.items())
    )
    process = subprocess.Popen(
        [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
        env=os.environ | {"HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with socket.create_connection(("127.0.0.1", _port(process, profile))) as connection:
            connection.settimeout(PATIENCE_S)
            yield Firefox(connection, downloads)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _port(process: subprocess.Popen[bytes], profile: Path) -> int:
    written = profile / "MarionetteActivePort"
    end = time.monotonic() + PATIENCE_S
    while not (written.exists() and written.read_text()):
        assert process.poll() is None, "Firefox has ended"
        assert time.monotonic() < end, "Firefox has not started"
        time.sleep(0.1)
    return int(written.read_text())
