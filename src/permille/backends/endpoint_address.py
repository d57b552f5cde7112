"""What can be found wrong with a server's address and command before anything is asked."""

from __future__ import annotations

import ipaddress
import shlex
import shutil
import socket
from urllib.parse import SplitResult, urlsplit

from permille.errors import ModelError


def parse_url(at: str, text: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        ModelError: it is none, or holds more than an address.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ModelError(f"{at}: url {text!r}: {error}") from error
    extra = url.username or url.password or url.query or url.fragment
    if url.scheme not in ("http", "https") or not url.hostname or port == 0 or extra:
        raise ModelError(
            f"{at}: url {text!r} is not of the form http://HOST:PORT/v1 (a key goes to key_env)"
        )
    return url


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_listening(at: str, url: SplitResult) -> None:
    """That somebody listens there.

    Raises:
        ModelError: nobody does.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname, port), timeout=5).close()
    except OSError as error:
        raise ModelError(
            f"{at}: no server at {url.hostname}:{port} ({error}); start it, or give serve = "
            '"its command"'
        ) from error


def check_command(at: str, command: str) -> None:
    """That a command can be started.

    Raises:
        ModelError: there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ModelError(f"{at}: serve {command!r}: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise ModelError(f"{at}: serve: there is no program {words[0] if words else ''!r}")
