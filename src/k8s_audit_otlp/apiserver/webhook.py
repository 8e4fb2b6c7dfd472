"""What a kube-apiserver needs to post its events: a kubeconfig-shaped file, flags, certificates.

Source: kubernetes.io/docs/tasks/debug/debug-cluster/audit/#webhook-backend.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from k8s_audit_otlp.apiserver.settings import RefusalError
from k8s_audit_otlp.config.durations import format_duration
from k8s_audit_otlp.config.reading.expand import placeholder
from k8s_audit_otlp.config.secret import safe_url
from k8s_audit_otlp.transport.proxy import is_local

MODES = ("batch", "blocking", "blocking-strict")
_BACKOFF_S = {"batch": 10}  # who does not slow requests may repeat for longer
_DAYS = "30"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", _DAYS)


def kubeconfig(
    url: str, *, ca_file: str = "", cert_file: str = "", key_file: str = "", token: str = ""
) -> str:
    """Return the file for --audit-webhook-config-file. Files are on the apiserver's host.

    Raise RefusalError where the URL or the pair of files cannot be meant so.
    """
    _check(url)
    if url.startswith("http://") and (cert_file or token):
        raise RefusalError(f"{url!r} would show the credentials to everyone; write https://")
    if bool(cert_file) != bool(key_file):
        raise RefusalError(
            "a client certificate needs its key; give --client-cert and --client-key"
        )
    cluster: dict[str, Any] = {"server": url}
    if ca_file:
        cluster["certificate-authority"] = ca_file
    user: dict[str, Any] = {}
    if cert_file:
        user = {"client-certificate": cert_file, "client-key": key_file}
    if token:
        user["token"] = token
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "k8s-audit-otlp", "cluster": cluster}],
        "users": [{"name": "kube-apiserver", "user": user}],
        "contexts": [
            {"name": "audit", "context": {"cluster": "k8s-audit-otlp", "user": "kube-apiserver"}}
        ],
        "current-context": "audit",
    }
    return yaml.safe_dump(tree, sort_keys=False)


def _check(url: str) -> None:
    hint = "write https://HOST:9443/audit"
    if not url.startswith(("https://", "http://")) or "/audit" not in urlsplit(url).path:
        raise RefusalError(f"{safe_url(url)!r} is no address of a webhook; {hint}")
    if left := placeholder(url):
        raise RefusalError(f"{left} in the URL is a placeholder; write your own value in its place")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = "", None
    if not host or port == 0:
        raise RefusalError(f"{safe_url(url)!r} names no host, or no port up to 65535; {hint}")
    if "@" in parts.netloc:
        raise RefusalError("credentials in the URL are not sent; give --token or --client-cert")


def given_up_after_s(backoff_s: float) -> float:
    """Return how long kube-apiserver tries to send: five times, each wait half as long again.

    Source: k8s.io/apiserver/pkg/util/webhook, DefaultRetryBackoffWithInitialDelay.
    """
    return backoff_s * (1 + 1.5 + 1.5**2 + 1.5**3)


def flags(file: str, mode: str) -> Mapping[str, str]:
    """Return the flags of kube-apiserver, each with what it is for."""
    backoff_s = _BACKOFF_S.get(mode, 1)
    given_up = format_duration(round(given_up_after_s(backoff_s)))
    chosen = {
        f"--audit-webhook-config-file={file}": "where to send, and who asks",
        f"--audit-webhook-mode={mode}": "batch slows no request; blocking waits for the answer",
        f"--audit-webhook-initial-backoff={backoff_s}s": f"before the first of four repeats: what "
        f"is not taken within {given_up} is lost",
    }
    if mode == "batch":
        chosen |= {
            "--audit-webhook-batch-buffer-size=100000": "events that wait to be sent; 10,000 by "
            "default, what does not fit is dropped",
            "--audit-webhook-batch-throttle-qps=50": "requests a second; 10 by default",
            "--audit-webhook-batch-throttle-burst=100": "of them at once",
            "--audit-webhook-batch-max-wait=1s": "longest wait for a full request; 30s by default",
        }
    return chosen


def receiver(url: str, directory: Path) -> str:
    """Return the agent's side of a trial: a receiver with the certificates of *directory*."""
    port = urlsplit(url).port or (443 if url.startswith("https://") else 80)
    files = {"cert_file": "server.crt", "key_file": "server.key", "client_ca_file": "ca.crt"}
    tls = {name: str(directory / file) for name, file in files.items()}
    block: dict[str, Any] = {"endpoint": f"0.0.0.0:{port}", "tls": tls}
    if cluster := urlsplit(url).path.partition("/audit/")[2].strip("/"):
        block["clusters"] = {cluster: {}}
    return yaml.safe_dump({"receivers": {"k8s_audit_webhook": block}}, sort_keys=False)


def limits(url: str) -> tuple[str, ...]:
    """Return what to know before kube-apiserver posts to that address."""
    if url.startswith("http://") and not is_local(urlsplit(url).hostname or ""):
        return ("http:// sends every event in clear text; write https:// with --ca-file", *_LIMITS)
    return _LIMITS


_LIMITS = (
    "the policy (--audit-policy-file) must be set as well",
    "nobody behind the apiserver can see what its buffer drops: watch apiserver_audit_error_total",
    "keep --audit-log-path as well, where you can",
)


def make_certificates(directory: Path, host: str) -> None:
    """Make an authority, and certificates of the server and of a client, for a trial.

    Raise RefusalError where there is no openssl, or the directory is not empty.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise RefusalError(f"{directory} is not empty; name a new directory")
    kind = "IP" if host.replace(".", "").isdecimal() or ":" in host else "DNS"
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    _openssl(directory, "ca", "k8s-audit-otlp trial", "-addext", "keyUsage=critical,keyCertSign")
    _openssl(directory, "server", host, *signed, "-addext", f"subjectAltName={kind}:{host}")
    _openssl(
        directory, "client", "kube-apiserver", *signed, "-addext", "extendedKeyUsage=clientAuth"
    )


def _openssl(directory: Path, name: str, common_name: str, *more: str) -> None:
    files = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={common_name}")
    command = ["openssl", "req", "-x509", *_KEY, *files, *more]
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)  # noqa: S603 - the words are ours
    except FileNotFoundError:
        raise RefusalError("there is no openssl here; make certificates elsewhere") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RefusalError(f"openssl: {last}") from None
