"""Checks an exporter: from the name of its host to an accepted record."""

import re
import socket
from collections.abc import Callable
from typing import assert_never

from k8s_audit_otlp.config.exporters import KafkaExporter, OtlpHttp
from k8s_audit_otlp.config.vendors.preset import VENDORS
from k8s_audit_otlp.model import Delivered, Misconfigured, Rejected, Retry, TooLarge
from k8s_audit_otlp.tools.doctor.certificates import Certificates, lasting
from k8s_audit_otlp.tools.doctor.exporter_facts import ExporterFacts, tls_of
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, skipped, warn
from k8s_audit_otlp.tools.doctor.topics import topic
from k8s_audit_otlp.tools.text import ago, duration
from k8s_audit_otlp.transport.connection import Connections
from k8s_audit_otlp.transport.credentials import NoCredentialsError
from k8s_audit_otlp.transport.proxy import is_local
from k8s_audit_otlp.transport.sender import UnreadableSettingError, read_setting
from k8s_audit_otlp.transport.tls import read_pem

SKEW_WARN_S, SKEW_FAIL_S = 30.0, 300.0  # events are then searched for at the wrong time

# What is left of a header whose variable or file is empty: the word before the key.
_NO_KEYS = frozenset({"", "Bearer", "Basic", "ApiKey", "Api-Token"})


Look = Callable[[ExporterFacts, Connections], CheckResult]


def _on_network(look: Look) -> Callable[[ExporterFacts], CheckResult | None]:
    def check(facts: ExporterFacts) -> CheckResult | None:
        try:
            return look(facts, facts.connections) if facts.connections else None
        except OSError as error:
            return fail(f"{error.filename}: {error.strerror}", "correct the endpoint")
        except ValueError as error:
            return fail(str(error), "correct the endpoint")

    return check


_STEPS = ("dns", "tcp", "proxy", "tls", "clock")  # as a request goes


def _stopped(
    facts: ExporterFacts, connections: Connections, step: str, hint: str = ""
) -> CheckResult | None:
    """Say that connecting failed at *step*, with *hint*, or before it; None where it did not."""
    broken = facts.reached.broken
    if broken == step:
        return fail(f"{connections.where}: {facts.reached.why}", hint)
    if broken and _STEPS.index(broken) < _STEPS.index(step):
        return skipped("it cannot be reached", f"see exporter.{broken}")
    return None


def dns(_facts: ExporterFacts, connections: Connections) -> CheckResult:
    """Resolve the host, or that of the proxy."""
    host, port = (connections.proxy or connections.url).address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return fail(
            f"{host} cannot be resolved: {error.strerror}",
            "correct the endpoint, or the resolver: /etc/resolv.conf, and dnsPolicy: "
            "ClusterFirstWithHostNet for a pod with hostNetwork",
        )
    return ok(f"{host} is {', '.join(dict.fromkeys(str(info[4][0]) for info in found))}")


def tcp(facts: ExporterFacts, connections: Connections) -> CheckResult:
    """Connect, as the agent will."""
    hint = "is the back end up, the port right, and does a NetworkPolicy or firewall let it out?"
    return _stopped(facts, connections, "tcp", hint) or ok("it takes connections")


def proxy(facts: ExporterFacts, connections: Connections) -> CheckResult:
    """Ask the proxy for a tunnel to the back end, where there is one."""
    if connections.proxy is None:
        return ok("no proxy is used")
    hint = "correct proxy_url with its user and password, or add the host to NO_PROXY"
    lets = ok(f"{connections.proxy.host_and_port} lets requests through")
    return _stopped(facts, connections, "proxy", hint) or lets


def handshake(facts: ExporterFacts, connections: Connections) -> CheckResult:
    """Shake hands, check the chain, and see how long it lasts."""
    if connections.url.scheme == "http":
        return _in_the_clear(facts, connections)
    place = connections.url.host_and_port
    name = connections.server_name or connections.url.host
    hint = (
        "renew the certificate, or name its authority in tls::ca_file; look: "
        f"openssl s_client -connect {place} -servername {name}"
    )
    if (stopped := _stopped(facts, connections, "tls", hint)) is not None:
        return stopped
    tls = tls_of(facts.exporter)
    if tls.insecure_skip_verify:
        return warn(
            "the certificate is not checked: anybody in between can read the log",
            "remove tls::insecure_skip_verify and name the authority in tls::ca_file",
        )
    authorities = (read_pem(tls)[0] or b"").decode()
    used = (
        Certificates("its certificate", facts.reached.certificate),
        Certificates("the authority of tls::ca_file", authorities, any_will_do=True),
    )
    return lasting("the chain is good", used, facts.now())


def _in_the_clear(facts: ExporterFacts, connections: Connections) -> CheckResult:
    shows_keys = bool(getattr(facts.exporter, "headers", None) or facts.credentials)
    if shows_keys and not is_local(connections.url.host):
        return warn("headers and credentials travel in the clear", "write https:// if it takes it")
    return ok("no TLS is asked for")


def credentials(facts: ExporterFacts) -> CheckResult:
    """Read every key as the agent will; with OAuth 2, fetch a token."""
    exporter = facts.exporter
    keys = {_header(name): value for name, value in getattr(exporter, "headers", {}).items()}
    if isinstance(exporter, KafkaExporter) and (sasl := exporter.auth.sasl) is not None:
        keys = {"auth::sasl::username": sasl.username, "auth::sasl::password": sasl.password}
    try:
        values = {name: read_setting(value.resolve, name) for name, value in keys.items()}
        if (granted := facts.credentials) is not None:
            headers = read_setting(granted.headers, "the credentials")
            values |= {_header(name): value for name, value in headers.items()}
    except UnreadableSettingError as error:
        return fail(str(error), "create the file, or let the agent's user read it")
    except NoCredentialsError as error:
        return fail(getattr(error.outcome, "why", str(error)), "correct the oauth2client extension")
    empty = [name for name, value in values.items() if value.strip() in _NO_KEYS]
    if empty:
        return fail(f"{empty[0]} is empty", "set the variable or file that it is from")
    vendor = VENDORS.get(exporter.audit.vendor or "")
    if vendor is not None:
        for header in vendor.headers:
            if header.required and _header(header.name) not in values:
                return fail(
                    f"{vendor.title} wants the header {header.name}",
                    f"see k8s-audit-otlp vendors show {vendor.name}",
                )
    if not values:
        return ok("none are sent")
    return ok(f"{', '.join(values)}: there, and not empty; whether they are right tells --send")


def _header(name: str) -> str:
    return f"the header {name.lower()}"


def clock(facts: ExporterFacts, connections: Connections) -> CheckResult:
    """Compare this host's clock with the back end's."""
    if (stopped := _stopped(facts, connections, "clock")) is not None:
        return stopped
    ahead = facts.clock_ahead_s
    if ahead is None:
        return skipped("it does not say what time it is")
    if abs(ahead) < SKEW_WARN_S:
        return ok("both clocks agree")
    where = "ahead of" if ahead > 0 else "behind"
    why = f"this host's clock is {duration(abs(ahead))} {where} the back end's"
    hint = "synchronise it: chronyc tracking, timedatectl"
    return fail(why, hint) if abs(ahead) >= SKEW_FAIL_S else warn(why, hint)


def age(facts: ExporterFacts) -> CheckResult:
    """Compare what waits with the age that the back end takes."""
    window = facts.exporter.limits.max_age_s
    if not window:
        return ok("no limit of age is known")
    if not facts.oldest_ns:
        return ok(f"it takes {duration(window)}, and nothing waits")
    old = facts.now() - facts.oldest_ns / 1e9
    why = f"it takes {duration(window)}, and the oldest that waits is {duration(old)} old"
    if old > window:
        return fail(why, "what is older is refused or not shown: on_too_old decides; see start_at")
    if old > window / 2:
        return warn(why, "let it catch up: see its errors in the agent's log")
    return ok(why)


def agent(facts: ExporterFacts) -> CheckResult | None:
    """Repeat what the requests of a running agent are answered."""
    running = facts.running
    if running is None:
        return None
    if running.state == "no answer yet":
        waits = duration(running.unanswered_s or 0.0)
        return warn(f"the running agent has had no answer for {waits}", "see exporter.tcp")
    if not running.well:
        passing = running.trouble == "retryable" and not running.stalled
        hint = "k8s-audit-otlp status says since when, and whether anything is lost"
        return (warn if passing else fail)(f"the running agent is told: {running.error}", hint)
    if not running.acknowledged_at:
        return ok("the running agent has had no answer yet, and no trouble")
    return ok(f"the running agent: acknowledged {ago(facts.now() - running.acknowledged_at)}")


def send(facts: ExporterFacts) -> CheckResult:
    """Send one marked record, if that was asked for."""
    if not facts.send:
        return skipped("nothing was sent", "--send sends one record, marked k8s.audit.agent.test")
    match facts.answer:
        case Delivered(rejected=rejected, message=message) if rejected:
            return fail(f"the test record was refused: {message or 'it does not say why'}", _FORM)
        case Delivered():
            return ok("the test record was accepted; look for k8s.audit.agent.test")
        case Misconfigured(why=why):
            return fail(why, _wrong(facts, why))
        case Retry(why=why, reached=True):
            return warn(f"not now: {why}", "ask again; if it stays so, ask whoever runs it")
        case Retry(why=why):
            return fail(why, "see exporter.dns, exporter.tcp and exporter.tls")
        case TooLarge(why=why) | Rejected(why=why):
            return fail(why, _FORM)
        case never:
            assert_never(never)


_CODE = re.compile(r": (?:HTTP|gRPC) (\w+)")  # an address and a text may hold any digits
_FORM = "does the preset fit? k8s-audit-otlp vendors"


def _wrong(facts: ExporterFacts, why: str) -> str:
    exporter = facts.exporter
    found = _CODE.search(why)
    code = found[1] if found else ""
    if code == "404" and _is_datakit(facts):
        return (
            "DataKit's OTLP input is off by default: enable `opentelemetry` "
            "(ENV_DEFAULT_ENABLED_INPUTS, or conf.d/opentelemetry.conf)"
        )
    if code in {"401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED"}:
        return "a wrong or expired key: renew it, and give it the right to write logs"
    if code in {"404", "405", "UNIMPLEMENTED"}:
        name = exporter.audit.vendor
        return f"compare the URL: k8s-audit-otlp vendors{f' show {name}' if name else ''}"
    return "see exporter.tls and exporter.proxy, or ask whoever runs the back end"


def _is_datakit(facts: ExporterFacts) -> bool:
    if not isinstance(facts.exporter, OtlpHttp):
        return False
    if facts.exporter.audit.vendor == "guance" or (
        facts.connections and facts.connections.url.port == 9529
    ):
        return True
    return str(facts.exporter.url).endswith("/otel/v1/logs")


CHECKS: Checks[ExporterFacts] = {
    "exporter.dns": _on_network(dns),
    "exporter.tcp": _on_network(tcp),
    "exporter.proxy": _on_network(proxy),
    "exporter.tls": _on_network(handshake),
    "exporter.credentials": credentials,
    "exporter.topic": topic,
    "exporter.clock": _on_network(clock),
    "exporter.age": age,
    "exporter.agent": agent,
    "exporter.send": send,
}
