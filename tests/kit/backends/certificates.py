"""Certificates for one test run: an authority that signs for servers, clients and strangers."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES = ("localhost", "backend.test", "127.0.0.1")


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path


class Authority:
    """Signs certificates in a directory."""

    def __init__(self, directory: Path, name: str = "ca", *, days: float = 2.0) -> None:
        self._directory = directory
        self.cert, self.key = directory / f"{name}.crt", directory / f"{name}.key"
        self._name, self._secret = name, ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, self._secret, name, days=days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "encipher_only", "decipher_only"),
            False,
        )  # fmt: skip
        signs = x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage)
        _write(builder.add_extension(signs, True).sign(self._secret, hashes.SHA256()), self.cert)
        _write_key(self._secret, self.key)

    def issue(
        self, name: str, names: tuple[str, ...] = NAMES, *, days: float = 2.0, age_days: float = 0.1
    ) -> Pair:
        """Sign for *names*, valid since *age_days* ago for *days* from then on."""
        pair = Pair(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        secret = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, secret, self._name, days=days, age_days=age_days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), False)
        builder = builder.add_extension(_alternative(names), False)
        _write(builder.sign(self._secret, hashes.SHA256()), pair.cert)
        _write_key(secret, pair.key)
        return pair


def self_signed(directory: Path, name: str, names: tuple[str, ...] = NAMES) -> Pair:
    """Make a certificate that vouches for itself."""
    pair = Pair(directory / f"{name}.crt", directory / f"{name}.key")
    secret = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, secret, name).add_extension(_alternative(names), False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    _write(builder.sign(secret, hashes.SHA256()), pair.cert)
    _write_key(secret, pair.key)
    return pair


def server_context(pair: Pair, *, clients: Path | None = None) -> ssl.SSLContext:
    """Serve with *pair*; *clients*: the authority that must have signed the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _builder(
    name: str,
    secret: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    days: Any = 2.0,
    age_days: Any = 0.1,
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(days=age_days)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _alternative(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n)
            for n in names
        ]
    )


def _write(certificate: x509.Certificate, path: Path) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(secret: ec.EllipticCurvePrivateKey, path: Path) -> None:
    path.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
