"""Checks how kube-apiserver posts to a webhook: what it gives up there is in no spool.

Defaults: k8s.io/apiserver/pkg/server/options/audit.go.
"""

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from k8s_audit_otlp.apiserver.files import MAX_BYTES
from k8s_audit_otlp.apiserver.settings import LOG_PATH, WEBHOOK_FILE
from k8s_audit_otlp.apiserver.webhook import MODES, given_up_after_s
from k8s_audit_otlp.config.durations import parse_duration
from k8s_audit_otlp.config.reading.plain_yaml import BAD_VALUE, parse_yaml
from k8s_audit_otlp.config.secret import safe_url
from k8s_audit_otlp.receiver.spool.event_list import MOST_EVENTS
from k8s_audit_otlp.state.files import read_regular
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts
from k8s_audit_otlp.tools.doctor.certificates import Certificates, lasting
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, skipped, warn
from k8s_audit_otlp.tools.text import duration, size
from k8s_audit_otlp.transport.proxy import is_local
from k8s_audit_otlp.transport.tls import TlsError, load_pair

LONG_S = 15.0  # a request of the cluster that waits so long has failed for who asked
_LARGE = 16 << 10  # bytes of an event: the mean of a log with bodies is below
_DEFAULTS = {
    "mode": "batch",
    "initial-backoff": "10s",
    "batch-buffer-size": "10000",
    "batch-max-size": "400",
    "batch-throttle-qps": "10",
    "batch-throttle-enable": "true",
}
_WATCH = "watch apiserver_audit_error_total"


def _value(facts: ApiserverFacts, name: str) -> str:
    return facts.flags.get(f"audit-webhook-{name}", _DEFAULTS[name])


def given_up(facts: ApiserverFacts) -> CheckResult:
    """Say what is lost while the receiver is away, and what waits for it."""
    mode, backoff = _value(facts, "mode"), _value(facts, "initial-backoff")
    if mode not in MODES:
        return fail(f"--audit-webhook-mode={mode} is none", f"write one of {', '.join(MODES)}")
    try:
        given_up_s = given_up_after_s(parse_duration(backoff))
    except ValueError:
        return fail(f"--audit-webhook-initial-backoff={backoff} is no duration", "write 10s")
    after = duration(given_up_s)
    if mode == "blocking-strict":
        return warn(
            f"--audit-webhook-mode={mode} refuses requests while the receiver is away",
            "keep it only if no request may go unaudited; write blocking or batch else",
        )
    if mode == "blocking" and given_up_s > LONG_S:
        return warn(
            f"each request of the cluster waits up to {after} while the receiver is away",
            "write --audit-webhook-initial-backoff=1s, or --audit-webhook-mode=batch",
        )
    if log := facts.flags.get(LOG_PATH):
        return ok(f"what it gives up after {after} without the receiver is in {log}")
    what = "" if mode == "blocking" else ", and what does not fit into its buffer,"
    return warn(
        f"what it cannot send within {after}{what} is lost for everybody",
        f"keep --{LOG_PATH} beside it, where you can; {_WATCH}",
    )


def batches(facts: ApiserverFacts) -> CheckResult | None:
    """Compare what it sends at once with what is taken, and its pace with the defaults."""
    if _value(facts, "mode") != "batch":
        return None  # it sends each event by itself
    names = ("batch-max-size", "batch-buffer-size", "batch-throttle-qps")
    try:
        most, buffer, pace = (float(_value(facts, name)) for name in names)
    except ValueError:
        flags = ", ".join(f"--audit-webhook-{name}={_value(facts, name)}" for name in names)
        return fail(f"one of {flags} is no number", "correct it: kube-apiserver does not start")
    if most > MOST_EVENTS:
        return fail(
            f"a request of {most:.0f} events is refused: at most {MOST_EVENTS} are taken",
            "write --audit-webhook-batch-max-size=400",
        )
    if facts.most_body and facts.most_body < most * _LARGE:
        return warn(
            f"a request of {most:.0f} events is refused, and lost, where they are over "
            f"{size(round(facts.most_body / most))} each: the receiver takes "
            f"{size(facts.most_body)}",
            "lower --audit-webhook-batch-max-size, or raise max_request_body_size",
        )
    unbound = _value(facts, "batch-throttle-enable").lower() in {"false", "0", "f"}
    slow = not unbound and most * pace < _default("batch-max-size") * _default(names[2])
    sends = "as fast as it can" if unbound else f"at most {most * pace:,.0f} events/s"
    said = f"it sends {sends}, and {buffer:,.0f} more may wait"
    if slow or buffer < _default("batch-buffer-size"):
        return warn(
            f"{said}, less than by default: it drops the rest",
            "the flags of k8s-audit-otlp apiserver webhook leave more room",
        )
    return ok(said)


def config_file(facts: ApiserverFacts) -> CheckResult:
    """Read the kubeconfig-shaped file: where it sends, and whether its certificates can be used."""
    inside = facts.flags[WEBHOOK_FILE]
    path = Path(facts.apiserver.on_host(inside))
    try:
        cluster, user = _chosen(parse_yaml(read_regular(path, MAX_BYTES)))
    except FileNotFoundError:
        return _unseen(facts, path)
    except OSError as error:
        return fail(f"{path}: {error.strerror}", "let the doctor's user read it, or run it as root")
    except BAD_VALUE:
        return fail(
            f"{path} is no kubeconfig with a current-context, its cluster and its user",
            "k8s-audit-otlp apiserver webhook prints one: without it kube-apiserver does not start",
        )
    if (wrong := _of_address(cluster, user)) is not None:
        return wrong
    try:
        found = _load(cluster, user, Path(inside).parent, path.parent)
    except FileNotFoundError as error:
        return _unseen(facts, Path(str(error)))
    except (OSError, ValueError, TlsError) as error:
        return fail(f"a certificate of {path} cannot be used: {error}", "renew it, or its key")
    return lasting(f"it sends to {safe_url(cluster['server'])}", found, facts.now())


def _unseen(facts: ApiserverFacts, path: Path) -> CheckResult:
    if facts.manifest:
        return fail(f"{path} is not there", "write it, or mount it: kube-apiserver needs it")
    return skipped(f"{path} cannot be seen from here", "run it on the apiserver's node")


def _chosen(tree: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the cluster and the user of the current context."""

    def named(kind: str, name: str) -> Mapping[str, Any]:
        found = {one["name"]: one[kind] for one in tree[f"{kind}s"]}[name]
        return dict(found or {})

    context = named("context", tree["current-context"])
    cluster = named("cluster", context["cluster"])
    urlsplit(cluster["server"]).port  # noqa: B018 - raises where it is none
    return cluster, named("user", context["user"]) if context.get("user") else {}


def _of_address(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> CheckResult | None:
    url = urlsplit(cluster["server"])
    shown = safe_url(cluster["server"])
    if url.scheme not in ("https", "http") or not url.hostname:
        return fail(f"{shown} is no address", "write https://HOST:9443/audit")
    if not url.path.startswith("/audit"):
        return fail(
            f"{shown} is answered with 404: the receiver takes /audit and /audit/CLUSTER",
            f"write {url.scheme}://{url.netloc.rpartition('@')[2]}/audit",
        )
    if url.scheme == "http" and not is_local(url.hostname):
        return warn(f"{shown} sends every event in clear text", "write https://, with the CA")
    if cluster.get("insecure-skip-tls-verify"):
        return warn(
            "insecure-skip-tls-verify: anybody in between can read and drop what is sent",
            "remove it, and name the receiver's CA in certificate-authority",
        )
    known = {"client-certificate", "client-certificate-data", "token", "tokenFile", "exec"}
    if url.scheme == "https" and not known & user.keys():
        return warn("it shows neither a certificate nor a token", "give the user one of them")
    return None


def _load(
    cluster: Mapping[str, Any], user: Mapping[str, Any], inside: Path, on_host: Path
) -> list[Certificates]:
    """Load what TLS needs; files are looked for beside the file, where that lies on the host."""
    context = ssl.create_default_context()

    def file(value: str) -> Path:
        path = inside / value
        path = on_host / path.relative_to(inside) if path.is_relative_to(inside) else path
        if not path.exists():
            raise FileNotFoundError(str(path))
        return path

    def pem(of: Mapping[str, Any], name: str) -> str:
        if data := of.get(f"{name}-data"):
            return base64.b64decode(data, validate=True).decode()
        return file(of[name]).read_text(encoding="utf-8") if of.get(name) else ""

    authority, client = pem(cluster, "certificate-authority"), pem(user, "client-certificate")
    if authority:
        context.load_verify_locations(cadata=authority)
    if name := user.get("client-certificate"):
        load_pair(context, str(file(name)), str(file(user.get("client-key") or name)))
    return [
        Certificates("the authority of the receiver", authority, any_will_do=True),
        Certificates("the certificate that it shows", client),
    ]


def _default(name: str) -> float:
    return float(_DEFAULTS[name])


CHECKS: Checks[ApiserverFacts] = {
    "apiserver.webhook-file": config_file,
    "apiserver.webhook": given_up,
    "apiserver.webhook-batches": batches,
}
