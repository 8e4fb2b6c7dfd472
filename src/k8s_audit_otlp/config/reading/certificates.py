"""What a `tls` block comes to, and whether the certificates that it names can be used.

`run` and `validate` read them here, so that they agree.
"""

import os
import ssl
from collections.abc import Callable
from pathlib import Path

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.sources import ServerTls
from k8s_audit_otlp.transport.tls import TlsError, TlsOptions, load_pair, make_context, reason_of


def tls_options(tls: Tls) -> TlsOptions:
    """Return what the transports take."""
    return TlsOptions(
        ca_file=tls.ca_file or "",
        ca_pem=tls.ca_pem.resolve if tls.ca_pem else None,
        cert_file=tls.cert_file or "",
        cert_pem=tls.cert_pem.resolve if tls.cert_pem else None,
        key_file=tls.key_file or "",
        key_pem=tls.key_pem.resolve if tls.key_pem else None,
        min_version=tls.min_version,
        insecure_skip_verify=tls.insecure_skip_verify,
        include_system_ca=tls.include_system_ca_certs_pool,
        server_name=tls.server_name_override or "",
        pem_files=tuple(
            file for text in (tls.ca_pem, tls.cert_pem, tls.key_pem) if text for file in text.files
        ),
    )


def trouble(tls: Tls | ServerTls) -> tuple[str, str]:
    """Return the key and the reason why its certificate cannot be used; ('', '') where it can.

    A file that is not there, or that this user may not read, is no trouble here: another may.
    """
    files = [tls.cert_file, tls.key_file]
    files.append(tls.ca_file if isinstance(tls, Tls) else tls.client_ca_file)
    texts = [] if isinstance(tls, ServerTls) else [tls.ca_pem, tls.cert_pem, tls.key_pem]
    if not any(files) and not any(texts):
        return "", ""  # and the system's certificates, some hundred, are not loaded for nothing
    files += [file for text in texts if text for file in text.files]
    if not all(os.access(file, os.R_OK) and Path(file).is_file() for file in files if file):
        return "", ""
    if isinstance(tls, ServerTls):
        return _trouble_of_server(tls)
    try:
        make_context(tls_options(tls))
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
