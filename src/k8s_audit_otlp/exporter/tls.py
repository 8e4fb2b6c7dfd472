"""Certificate files in, an ssl context out; made anew when one of the files changes."""

import os
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True, repr=False)
class TlsOptions:
    """The Collector's `tls` block. PEM texts are functions because they may be secrets."""

    ca_file: str = ""
    ca_pem: Callable[[], str] | None = None
    cert_file: str = ""
    cert_pem: Callable[[], str] | None = None
    key_file: str = ""
    key_pem: Callable[[], str] | None = None
    min_version: str = "1.2"
    insecure_skip_verify: bool = False
    include_system_ca: bool = False
    server_name: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(f for f in (self.ca_file, self.cert_file, self.key_file) if f)

    @property
    def has_own_ca(self) -> bool:
        return bool(self.ca_file or self.ca_pem)


def stamp(files: tuple[str, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when one of *files* is replaced. A missing file is a stamp as well."""
    return tuple(_stamp(f) for f in files)


def _stamp(file: str) -> tuple[int, int, int]:
    try:
        info = Path(file).stat()
    except OSError:
        return (0, 0, 0)
    return (info.st_ino, info.st_size, info.st_mtime_ns)


def make_context(options: TlsOptions) -> ssl.SSLContext:
    """Build a client context.

    Raises:
        OSError: a file is missing or no PEM; the message names it, never its content.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[options.min_version]
    context.set_alpn_protocols(["http/1.1"])
    if not options.has_own_ca or options.include_system_ca:
        context.load_default_certs()
    try:
        if options.has_own_ca:
            pem = options.ca_pem() if options.ca_pem else None
            context.load_verify_locations(options.ca_file or None, cadata=pem)
    except (OSError, ValueError) as error:
        raise OSError(f"tls::ca_file {options.ca_file or '(pem)'}: {_reason(error)}") from None
    if options.cert_file or options.cert_pem:
        try:
            _load_client_certificate(context, options)
        except (OSError, ValueError) as error:
            where = options.cert_file or "(pem)"
            raise OSError(f"tls::cert_file {where} with its key: {_reason(error)}") from None
    if options.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_client_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    """Load certificate and key; the library takes files only, so PEM texts pass through one."""
    if options.cert_file and options.key_file:
        context.load_cert_chain(options.cert_file, options.key_file)
        return
    cert = options.cert_pem() if options.cert_pem else Path(options.cert_file).read_text()
    key = options.key_pem() if options.key_pem else Path(options.key_file).read_text()
    fd, name = tempfile.mkstemp()  # 0600, and gone before anything else happens
    try:
        with os.fdopen(fd, "w") as file:
            file.write(cert + "\n" + key)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not a usable PEM file"
    return getattr(error, "strerror", None) or str(error) or "not a usable PEM file"
