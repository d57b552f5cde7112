"""Check a server's address and command before sending any request."""

from __future__ import annotations

import ipaddress
import shlex
import shutil
import socket
from urllib.parse import SplitResult, urlsplit

from permille.errors import ModelError

_CONNECT_S = 5.0


def parse_url(at: str, text: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        ModelError: it is not an address, or contains more than one.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ModelError(f"{at}: url {text!r}: {error}") from error
    # The address is stored with each trial and shown: a password in it would be, too.
    extra = url.username or url.password or url.query or url.fragment
    if url.scheme not in ("http", "https") or not url.hostname or port == 0 or extra:
        raise ModelError(
            f"{at}: url {text!r} is not of the form http://HOST:PORT/v1 (a key: key_env)"
        )
    return url


def check_meter(at: str, text: str) -> None:
    """Check the address of an agent. Without TLS it must be this machine, the end of an SSH tunnel:
    everybody on the network could read the token and change the readings.

    Raises:
        ModelError: it is not an address, or not a safe one.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ModelError(f"{at}: meter {text!r}: {error}") from error
    extra = url.username or url.password or url.query or url.fragment or url.path.strip("/")
    if url.scheme not in ("http", "https") or not url.hostname or not port or extra:
        raise ModelError(
            f"{at}: meter {text!r} is not of the form https://HOST:PORT (the token:"
            " PERMILLE_AGENT_TOKEN)"
        )
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ModelError(
            f"{at}: meter {text!r} has no TLS; use https, or an SSH tunnel:"
            f" ssh -N -L {port}:127.0.0.1:{port} {url.hostname}, and meter ="
            f' "http://127.0.0.1:{port}"'
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback interface, as it is written: names other than
    ``localhost`` are not resolved."""
    name = host.rstrip(".").lower()
    address = _address(name)
    return name == "localhost" if address is None else address.is_loopback


def check_here(at: str, host: str) -> None:
    """Check that a host is this machine.

    Raises:
        ModelError: it is not, as far as can be known without the network.
    """
    if not is_here(host):
        raise ModelError(
            f"{at}: {host} is not known to be this machine, whose meters see no other's energy;"
            " if the server runs here, write 127.0.0.1 in its place; if it runs elsewhere, run"
            " permille there, or permille agent (meter = its address), or set remote = true to"
            " measure only what the requests cost here"
        )


def is_here(host: str) -> bool:
    """Whether a host is this machine: loopback, the unspecified address that servers print
    (0.0.0.0), an address of an interface, or this machine's own name. Names are not
    resolved: a DNS query would reveal what is measured, and its answer can be forged."""
    name = host.rstrip(".").lower()
    address = _address(name)
    if address is not None:
        return address.is_loopback or address.is_unspecified or address in _own_addresses()
    # Names below .localhost are always this machine (RFC 6761, section 6.3).
    return name == "localhost" or name.endswith(".localhost") or name in _own_names()


def is_listening(url: SplitResult) -> bool:
    """Whether something accepts connections at this address."""
    try:
        _connect(url)
    except OSError:
        return False
    return True


def check_listening(at: str, url: SplitResult) -> None:
    """Check that something accepts connections at this address.

    Raises:
        ModelError: nothing does.
    """
    try:
        _connect(url)
    except OSError as error:
        raise ModelError(
            f"{at}: no server at {url.hostname}:{_port(url)} ({error}); start it, or set serve = "
            '"its command"'
        ) from error


def check_command(at: str, command: str) -> None:
    """Check that a command can be started.

    Raises:
        ModelError: there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ModelError(f"{at}: serve {command!r}: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise ModelError(f"{at}: serve: there is no program {words[0] if words else ''!r}")


def _connect(url: SplitResult) -> None:
    socket.create_connection((url.hostname, _port(url)), timeout=_CONNECT_S).close()


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _Address | None:
    """The host as an IP address, or None if it is a name."""
    try:
        # Without the zone of a link-local address (fe80::1%eth0): with one, it equals no other
        # address.
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:  # old short forms such as 127.1, which connect() accepts too
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    # Python's is_loopback knows ::ffff:127.0.0.1 only since 3.13.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _own_addresses() -> frozenset[_Address]:
    import psutil

    written = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries]
    # The list includes hardware addresses, which are not IP addresses.
    return frozenset(address for text in written if (address := _ip(text)) is not None)


def _ip(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _own_names() -> frozenset[str]:
    name = socket.gethostname().rstrip(".").lower()
    # Also the name that multicast DNS gives this machine (RFC 6762, section 3).
    short = name.partition(".")[0]
    return frozenset({name, short, f"{short}.local"} - {"", ".local"})
