"""Certificates made by openssl for one test run: an authority, a server, a client, and another."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SUBJECT = "subjectAltName=DNS:localhost,DNS:backend.test,IP:127.0.0.1"


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path


class Authority:
    """Signs certificates in a directory."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self.cert, self.key = directory / f"{name}.crt", directory / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", self.key, "-out", self.cert),
        )

    def issue(self, name: str, extension: str = _SUBJECT) -> Pair:
        cert, key = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        request = self._directory / f"{name}.csr"
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", key, "-out", request),
        )
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"{extension}\nbasicConstraints=CA:FALSE\n")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key),
            *("-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", cert),
        )
        return Pair(cert, key)


def server_context(pair: Pair, *, clients: Path | None = None) -> ssl.SSLContext:
    """Serve with *pair*; *clients*: the authority that must have signed the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
