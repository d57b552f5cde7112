"""Where the agent listens and who may use it, checked before it starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from permille.backends.endpoint.address import is_loopback
from permille.errors import UsageError
from permille.recorder.remote.protocol import TOKEN
from permille.records import Record

PORT = 9465
LEAST_TOKEN, MOST_TOKEN = 20, 500


class Access(Record):
    """How the agent is reached. ``token``: what requests must bear; ``cert`` and ``key``: files of
    its certificate (PEM), for TLS."""

    host: str
    port: int
    token: str | None = None
    cert: str | None = None
    key: str | None = None


def checked(access: Access) -> Access:
    """The access, if nobody else could use the agent.

    Raises:
        UsageError: it would listen to other machines without TLS or without a token, or a token is
            too short.
    """
    if (access.cert is None) != (access.key is None):
        raise UsageError("--cert and --key belong together: give both")
    if access.token is not None:
        _check_token(access.token)
    lacking = [
        what
        for what, given in (("--cert and --key", access.cert), (f"a token ({TOKEN})", access.token))
        if given is None
    ]
    if lacking and not is_loopback(access.host):
        raise UsageError(
            f"--listen {access.host}: other machines can reach that address, which needs"
            f" {' and '.join(lacking)}; or listen on 127.0.0.1, and forward the port from the other"
            f" machine: ssh -N -L {access.port}:127.0.0.1:{access.port} THIS-MACHINE"
        )
    return access


def token_of(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token in a file or, without one, in the environment; None if there is none. It is no
    option of the command line, because other users can read those.

    Raises:
        UsageError: the file cannot be read, or others can read it too.
    """
    if file is None:
        return environment.get(TOKEN) or None
    try:
        with file.open("rb") as opened:
            # Of the open file: the path could lead to another one by now.
            mode = os.fstat(opened.fileno()).st_mode
            # A token of the greatest length, its newline, and one more byte: a longer token must be
            # refused, not cut.
            content = opened.read(MOST_TOKEN + 2)
    except OSError as error:
        raise UsageError(f"--token-file {file}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"--token-file {file}: others may use it; run: chmod 600 {file}")
    return content.decode("ascii", "replace").strip()


def _check_token(token: str) -> None:
    written = token.isascii() and token.isprintable() and " " not in token
    if not written or not LEAST_TOKEN <= len(token) <= MOST_TOKEN:
        raise UsageError(
            f"the token must have {LEAST_TOKEN} to {MOST_TOKEN} printable ASCII characters and no"
            " blanks; make one with: openssl rand -hex 32"
        )
