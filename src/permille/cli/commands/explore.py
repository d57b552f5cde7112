"""``permille explore``: serve the explorer to a browser on this machine."""

from __future__ import annotations

import argparse
import errno
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from permille.cli.arguments import add_store, integer
from permille.cli.source import say_damage
from permille.errors import PermilleError, UsageError
from permille.escaping import plain
from permille.extras import extra
from permille.store import Store

if TYPE_CHECKING:
    from permille.explorer.figures import Figures

PORT = 8421
EXAMPLES = """examples:
  permille explore
  permille explore --store permille.db --port 9000 --no-open
  permille export html figures.html     the same as one file, without a server
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille explore``."""
    parser.epilog = EXAMPLES
    add_store(parser)
    parser.add_argument("--port", type=_port, help=f"the port (default: {PORT}, or a free one)")
    parser.add_argument("--no-open", action="store_true", help="do not open the browser")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    return _serve(args.store, args.port, opens=not args.no_open)


def _serve(store: Path, port: int | None, *, opens: bool) -> int:
    with extra("explorer", "the explorer"):
        import duckdb  # noqa: F401 - for downloads; missing, it is reported now
        import uvicorn

        from permille.explorer import page
        from permille.explorer.figures import Figures
        from permille.explorer.server import app

        # Within the extra, because rendering the page imports its template engine.
        page.served()
    # A run may make the store later, but not its folder.
    if store.exists() or not store.parent.is_dir():
        # With a list for its damage: a damaged store is served with what can be read of it.
        with Store(store, readonly=True, damage=[]):
            pass  # what is not a store is refused before anything is served
    figures = Figures(store)
    # The socket first: the browser is sent to this port before the server runs.
    listening = _listen(port)
    port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    print(f"the explorer is at {address} (Ctrl-C stops it)", flush=True)
    if not store.exists():
        print(plain(f"there is no store at {store} yet; the page shows it once there is one"))
    config = uvicorn.Config(
        app(figures, port), log_level="warning", server_header=False, date_header=False
    )
    # The browser gets the page while the figures are read.
    # A daemon, so that Ctrl-C need not wait for it.
    threading.Thread(target=_read, args=(figures,), daemon=True).start()
    if opens:
        import webbrowser

        webbrowser.open(address)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _read(figures: Figures) -> None:
    """Read the figures, and report damage of the store here too, not only in the browser."""
    try:
        say_damage(list(figures.state().damage))
    except PermilleError as error:  # the page shows it, too
        print(plain(str(error)), file=sys.stderr)


def _listen(port: int | None) -> socket.socket:
    """A socket on loopback; a free port if none is named and the default is taken."""
    for candidate in (PORT, 0) if port is None else (port,):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Started again, it would be refused its port as long as old connections are in TIME_WAIT.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", candidate))
            listening.listen()  # from here on, requests wait instead of being refused
        except OSError as error:
            listening.close()
            if port is None and error.errno == errno.EADDRINUSE:
                continue
            raise UsageError(
                f"cannot listen on port {candidate}: {error.strerror}; choose another with --port"
            ) from error
        return listening
    raise UsageError("no free port on 127.0.0.1")


def _port(text: str) -> int:
    port = integer(text)
    if not 0 <= port < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 (any free one) to 65535")
    return port
