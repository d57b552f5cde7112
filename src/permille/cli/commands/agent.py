"""``permille agent``: serve this machine's recorder to a run on another machine."""

from __future__ import annotations

import argparse
import os
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from permille.agent.settings import PORT, Access, checked, token_of
from permille.cli.arguments import address, check_pid, integer
from permille.errors import UsageError
from permille.extras import extra
from permille.recorder.client import Recorder

if TYPE_CHECKING:
    from uvicorn import Config

EXAMPLES = """examples:
  permille agent                                    on loopback, for an SSH tunnel
  permille agent --listen 0.0.0.0:9465 --cert agent.pem --key agent.key --token-file token
  permille agent --pid "$(pgrep -o vllm)"

In the study file of the run, on the other machine: meter = "https://this-machine:9465"
"""

MOST_CONNECTIONS = 32


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--listen",
        metavar="[HOST:]PORT",
        default=str(PORT),
        help=f"where to listen (127.0.0.1:{PORT}); what other machines can reach needs TLS and a"
        " token",
    )
    parser.add_argument("--cert", metavar="FILE", help="the certificate, for TLS (PEM)")
    parser.add_argument("--key", metavar="FILE", help="the certificate's private key (PEM)")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="the token that requests must carry (default: PERMILLE_AGENT_TOKEN)",
    )
    parser.add_argument(
        "--pid",
        type=integer,
        help="the server's process: only the GPUs that it uses count (default: every GPU)",
    )
    parser.add_argument(
        "--shared", action="store_true", help="allow concurrent runs (noted in the results)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    host, port = address("--listen", args.listen)
    access = checked(
        Access(
            host=host,
            port=port,
            token=token_of(args.token_file, os.environ),
            cert=args.cert,
            key=args.key,
        )
    )
    check_pid(args.pid)
    # Before the meters are opened: a wrong certificate or a missing extra costs nothing to say.
    config = _config(args, access)
    # A machine that cannot be measured is reported now, not to the first run.
    with Recorder(shared=args.shared) as recorder:
        names = ", ".join(domain.name for domain in recorder.domains)
    listening = _listen(access)
    scheme = "http" if access.cert is None else "https"
    shown = f"[{host}]" if ":" in host else host
    print(f"the recorder of {names} is at {scheme}://{shown}:{port} (Ctrl-C stops it)", flush=True)
    import uvicorn

    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _config(args: argparse.Namespace, access: Access) -> Config:
    with extra("agent", "permille agent"):
        import uvicorn

    from permille.agent.lending import Lending
    from permille.agent.server import AgentApp

    config = uvicorn.Config(
        AgentApp(Lending(partial(Recorder, shared=args.shared), args.pid), access.token),
        # By default, uvicorn takes uvloop and httptools where they happen to be installed.
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=3,
        ssl_certfile=access.cert,
        ssl_keyfile=access.key,
    )
    try:
        config.load()
    except OSError as error:  # also what is wrong with a certificate
        why = error.strerror or str(error)
        raise UsageError(f"--cert {access.cert}, --key {access.key}: {why}") from error
    return config


def _listen(access: Access) -> socket.socket:
    try:
        family, kind, number, _, where = socket.getaddrinfo(
            access.host, access.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, number)
    except OSError as error:
        raise UsageError(f"--listen {access.host}: {error.strerror}") from error
    # Started again, it would be refused its port as long as old connections are in TIME_WAIT.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(where)
        listening.listen()  # from here on, requests wait instead of being refused
    except OSError as error:
        listening.close()
        raise UsageError(
            f"cannot listen on {access.host}:{access.port}: {error.strerror}; choose another with"
            " --listen"
        ) from error
    return listening
