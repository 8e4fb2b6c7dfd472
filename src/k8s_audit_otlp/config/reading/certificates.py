"""Whether the certificates that a `tls` block names can be used."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.sources import ServerTls
from k8s_audit_otlp.transport.tls import TlsError, load_pair, make_context, reason_of


def trouble(tls: Tls | ServerTls) -> tuple[str, str]:
    """Return the key and the reason why its certificate cannot be used; ('', '') where it can.

    A file that is not there, or that this user may not read, is no trouble here: another may.
    """
    files = tls.files
    if not files and not (isinstance(tls, Tls) and (tls.has_own_ca or tls.cert_pem)):
        return "", ""  # and the system's certificates, some hundred, are not loaded for nothing
    if not all(os.access(file, os.R_OK) and Path(file).is_file() for file in files):
        return "", ""
    if isinstance(tls, ServerTls):
        return _trouble_of_server(tls)
    try:
        make_context(tls)
    except TlsError as error:
        return error.key, error.why
    return "", ""


def _trouble_of_server(tls: ServerTls) -> tuple[str, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wanted: list[tuple[str, Callable[[], object]]] = [
        ("cert_file", lambda: load_pair(context, tls.cert_file, tls.key_file))
    ]
    if authorities := tls.client_ca_file:
        wanted.append(("client_ca_file", lambda: context.load_verify_locations(authorities)))
    for key, load in wanted:
        try:
            load()
        except (OSError, ValueError) as error:
            return key, reason_of(error)
    return "", ""
