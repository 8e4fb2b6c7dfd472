"""Makes an ssl context of certificate files, and tells when one of them has changed."""

import os
import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.secret import Secret
from k8s_audit_otlp.config.sources import ServerTls
from k8s_audit_otlp.transport.sender import NotSentError

OTHER_VERSION = "the server knows no TLS as new as tls::min_version (1.2 by default)"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_KEY = re.compile(rb"-----BEGIN (?!OPENSSH )[A-Z ]*PRIVATE KEY-----")

# OpenSSL's words -> ours; all others are shown as they are
_REASONS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "NO_CERTIFICATE_ASSIGNED": "the key does not belong to the certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "holds no certificate in PEM",
    "NO_START_LINE": "holds no certificate in PEM",
    "PEM_LIB": "holds no certificate, or no key, in PEM",
}


class TlsError(NotSentError):
    """The settings of TLS cannot be used; the text says which and why.

    `key` is the one of the block that is wrong, `why` the reason; neither holds a secret.
    """

    def __init__(self, key: str, why: str, file: str = "") -> None:
        super().__init__(f"tls::{key}{file and ' '}{file}: {why}")
        self.key = key
        self.why = why


def stamp(files: Iterable[str]) -> list[tuple[int, int, int]]:
    """Return what changes when one of *files* is replaced. A missing file is a stamp as well."""
    found = []
    for file in files:
        try:
            info = Path(file).stat()
            found.append((info.st_ino, info.st_size, info.st_mtime_ns))
        except OSError:
            found.append((0, 0, 0))
    return found


def make_context(options: Tls) -> ssl.SSLContext:
    """Build a client context.

    Raise TlsError where a file is missing or no PEM; the message names it, never its content.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSIONS[options.min_version]
    context.set_alpn_protocols(["http/1.1"])
    if not options.has_own_ca or options.include_system_ca_certs_pool:
        context.load_default_certs()
    if options.has_own_ca:
        with _naming("ca", options.ca_file):
            pem = options.ca_pem.resolve() if options.ca_pem else None
            context.load_verify_locations(options.ca_file or None, cadata=pem)
    if options.cert_file or options.cert_pem:
        with _naming("cert", options.cert_file):
            _load_client_certificate(context, options)
    if options.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def load_server(context: ssl.SSLContext, options: ServerTls) -> None:
    """Load what a server shows and whom it trusts. Raise TlsError as `make_context` does."""
    with _naming("cert", options.cert_file):
        load_pair(context, options.cert_file, options.key_file)
    if options.client_ca_file:
        with _naming("client_ca", options.client_ca_file):
            context.load_verify_locations(options.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED


def _load_client_certificate(context: ssl.SSLContext, options: Tls) -> None:
    """Load certificate and key; the library takes files only, so PEM texts pass through one.

    It is in memory: a container may have no place to write to, and a key is not for a disk.
    """
    if options.cert_file and options.key_file:
        load_pair(context, options.cert_file, options.key_file)
        return
    cert = (
        options.cert_pem.resolve()
        if options.cert_pem
        else Path(options.cert_file or "").read_text()
    )
    key = options.key_pem.resolve() if options.key_pem else Path(options.key_file or "").read_text()
    with os.fdopen(os.memfd_create("client-certificate"), "w") as file:
        file.write(cert + "\n" + key)
        file.flush()
        load_pair(context, f"/proc/self/fd/{file.fileno()}", None)


def load_pair(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    """Load a certificate and its key, which may be in one file.

    Raise OSError where one of them cannot be read, or is no PEM; ValueError where the key has a
    passphrase, for which the library would ask at the terminal; TlsError where there is no key.
    """
    if key_file and not _KEY.search(Path(key_file).read_bytes()):
        raise TlsError("key_file", "holds no private key in PEM", key_file)
    context.load_cert_chain(cert_file, key_file, _no_passphrase)


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase; write one without")


@contextmanager
def _naming(name: str, file: str | None) -> Iterator[None]:
    """Let what goes wrong with a certificate say which it is."""
    try:
        yield
    except (OSError, ValueError) as error:
        key = f"{name}_{'file' if file else 'pem'}"
        raise TlsError(key, _reason_of(error), file or "(pem)") from None


def _reason_of(error: Exception) -> str:
    """Return why a certificate cannot be used, in words."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "NO_START_LINE"
        return _REASONS.get(reason, reason.lower().replace("_", " "))
    return getattr(error, "strerror", None) or str(error) or "not a usable PEM file"


def read_pem(options: Tls) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Read PEM of the authorities, the key and the certificate; None for what is not configured.

    Raise TlsError where one cannot be read; the message names the file.
    """
    ca = _pem("ca", options.ca_file, options.ca_pem)
    if ca and options.include_system_ca_certs_pool:
        system = Path(ssl.get_default_verify_paths().cafile or "/nonexistent")
        ca += b"\n" + (system.read_bytes() if system.exists() else b"")
    key = _pem("key", options.key_file, options.key_pem)
    return ca, key, _pem("cert", options.cert_file, options.cert_pem)


def _pem(name: str, file: str | None, text: Secret | None) -> bytes | None:
    with _naming(name, file):
        if text:
            return text.resolve().encode()
        return Path(file).read_bytes() if file else None


def not_accepted(why: str) -> str:
    """Say that the server's certificate is not accepted, and what to do where *why* tells it."""
    small = why.lower()
    hint = ""
    if "issuer" in small or "self-signed" in small or "self signed" in small:
        hint = "; write the authority that signed it as tls::ca_file"
    elif "mismatch" in small or "name" in small:
        hint = "; tls::server_name_override is the name to expect"
    elif "expired" in small or "not yet valid" in small:
        hint = "; renew it there, unless the clock of this host is wrong"
    return f"the server's certificate is not accepted: {why}{hint}"


def tls_reason(error: ssl.SSLError) -> str:
    reason = (error.reason or "protocol error").replace("_", " ").lower()
    if "certificate required" in reason:
        return f"{reason}: the server wants a client certificate, tls::cert_file and key_file"
    if "alert" in reason and ("unknown ca" in reason or "certificate" in reason):
        return f"{reason}: the server does not accept the client certificate of tls::cert_file"
    if "alert protocol version" in reason or "unsupported protocol" in reason:
        return f"{reason}: {OTHER_VERSION}"
    return reason
