"""The agent as a process of its own, with TLS and a token, and a clock that tests set."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "a-token-for-the-tests-only"

CLOCK = """
import os, time
real, jump = time.monotonic_ns, os.environ["TEST_JUMP_FILE"]
offset_ns = int(os.environ["TEST_OFFSET_NS"])
time.monotonic_ns = lambda: real() + offset_ns + (30_000_000_000 if os.path.exists(jump) else 0)
"""
"""A ``sitecustomize`` module: the clock of the agent and of its recorder, which jumps by 30 s as
soon as a file appears."""


class Certificates(NamedTuple):
    """Files (PEM): whom to trust, and the server's certificate for 127.0.0.1 with its key."""

    authority: Path
    cert: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """An authority, and a certificate that it signed."""
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    ours, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _named("permille's tests")
    ours_id = x509.SubjectKeyIdentifier.from_public_key(ours.public_key())

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
        )

    signs = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, **signs)
    root = (
        builder(authority, ours.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(ours_id, critical=False)
        .sign(ours, hashes.SHA256())
    )
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ours_id)
    leaf = (
        builder(_named("the agent"), theirs.public_key())
        .add_extension(here, critical=False)
        .add_extension(signer, critical=False)
        .sign(ours, hashes.SHA256())
    )
    files = Certificates(folder / "authority.pem", folder / "agent.pem", folder / "agent.key")
    pem = serialization.Encoding.PEM
    files.authority.write_bytes(root.public_bytes(pem))
    files.cert.write_bytes(leaf.public_bytes(pem))
    files.key.write_bytes(
        theirs.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class AgentProcess:
    """``permille agent`` on a port of 127.0.0.1. Its folder for temporary files is its own, as on a
    machine of its own, so that its lock is too."""

    def __init__(
        self,
        folder: Path,
        port: int,
        environment: Mapping[str, str],
        certificates: Certificates,
        *,
        offset_ns: int | None = None,
    ) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self.jump = folder / "jump"
        (folder / "agent-tmp").mkdir(exist_ok=True)
        variables = {**environment, "TMPDIR": str(folder / "agent-tmp")}
        variables["PERMILLE_AGENT_TOKEN"] = TOKEN
        variables["OMP_NUM_THREADS"] = "1"  # another environment, as on another machine
        if offset_ns is not None:
            (folder / "clock").mkdir(exist_ok=True)
            (folder / "clock" / "sitecustomize.py").write_text(CLOCK)
            path = [str(folder / "clock"), *filter(None, [os.environ.get("PYTHONPATH")])]
            variables |= {"PYTHONPATH": os.pathsep.join(path), "TEST_JUMP_FILE": str(self.jump)}
            variables["TEST_OFFSET_NS"] = str(offset_ns)
        self._command = [
            *(sys.executable, "-m", "permille", "agent", "--listen", str(port)),
            *("--cert", str(certificates.cert), "--key", str(certificates.key)),
        ]
        self._variables = variables
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        process = subprocess.Popen(
            self._command,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert self.url in line, line + process.stdout.read()
        self._process = process

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
