"""Checks an exporter: from the name of its host to an accepted record."""

import re
import ssl
from collections.abc import Callable
from typing import assert_never

from k8s_audit_otlp.config.exporters import KafkaExporter, OtlpHttp
from k8s_audit_otlp.config.kafka import Sasl
from k8s_audit_otlp.config.vendors.preset import VENDORS
from k8s_audit_otlp.model import Delivered, Misconfigured, Rejected, Retry, TooLarge
from k8s_audit_otlp.tools.doctor.certificates import EXPIRES_SOON_S
from k8s_audit_otlp.tools.doctor.exporter_facts import ExporterFacts, StepError
from k8s_audit_otlp.tools.doctor.findings import Check, CheckResult, fail, ok, skipped, warn
from k8s_audit_otlp.tools.doctor.topics import topic
from k8s_audit_otlp.tools.text import duration
from k8s_audit_otlp.transport.credentials import NoCredentialsError
from k8s_audit_otlp.transport.proxy import is_local
from k8s_audit_otlp.transport.sender import UnreadableSettingError, read_setting

SKEW_WARN_S, SKEW_FAIL_S = 30.0, 300.0  # events are then searched for at the wrong time

# What is left of a header whose variable or file is empty: the word before the key.
_NO_KEYS = frozenset({"", "Bearer", "Basic", "ApiKey", "Api-Token"})


def _on_network(
    look: Callable[[ExporterFacts], CheckResult],
) -> Callable[[ExporterFacts], CheckResult | None]:
    def check(facts: ExporterFacts) -> CheckResult | None:
        try:
            return None if facts.place is None else look(facts)
        except StepError as error:
            return fail(str(error), "correct the endpoint")

    return check


def dns(facts: ExporterFacts) -> CheckResult:
    """Resolve the host, or that of the proxy."""
    try:
        return ok(f"{_first(facts)} is {', '.join(facts.addresses)}")
    except StepError as error:
        return fail(
            f"the name cannot be resolved: {error}",
            "correct the endpoint, or the resolver: /etc/resolv.conf, and dnsPolicy: "
            "ClusterFirstWithHostNet for a pod with hostNetwork",
        )


def _first(facts: ExporterFacts) -> str:
    assert facts.place is not None  # noqa: S101 - asked before
    return facts.place.first[0]


def tcp(facts: ExporterFacts) -> CheckResult:
    """Connect, as the agent will."""
    if (blocked := _blocked(facts, "dns")) is not None:
        return blocked
    try:
        facts.dial().close()
    except StepError as error:
        return fail(
            f"no connection: {error}",
            "is the back end up, the port right, and does a NetworkPolicy or firewall let it out?",
        )
    return ok("it takes connections")


def _blocked(facts: ExporterFacts, by: str) -> CheckResult | None:
    """Say that an earlier step stands in the way, if one does."""
    try:
        if by == "dns":
            _ = facts.addresses
        elif by == "tcp":
            facts.dial().close()
        else:
            facts.reach().close()
    except StepError:
        return skipped("it cannot be reached", f"see exporter.{by}")
    return None


def proxy(facts: ExporterFacts) -> CheckResult:
    """Ask the proxy for a way to the back end, where there is one."""
    place = facts.place
    if place is None or place.proxy is None:
        return ok("no proxy is used")
    name = f"{place.proxy.host}:{place.proxy.port}"
    if (blocked := _blocked(facts, "tcp")) is not None:
        return blocked
    try:
        facts.reach().close()
    except StepError as error:
        return fail(
            f"{name}: {error}",
            "correct proxy_url with its user and password, or add the host to NO_PROXY",
        )
    return ok(f"{name} lets requests through")


def tls(facts: ExporterFacts) -> CheckResult:
    """Shake hands, check the chain, and see how long it lasts."""
    place = facts.place
    assert place is not None  # noqa: S101 - asked before
    if not place.tls:
        return _in_the_clear(facts)
    if (blocked := _blocked(facts, "proxy" if place.proxy else "tcp")) is not None:
        return blocked
    try:
        certificate = facts.certificate
        authorities = facts.authorities
    except StepError as error:
        return fail(
            str(error),
            "renew the certificate, or name its authority in tls::ca_file; "
            f"look: openssl s_client -connect {place} -servername {place.server_name}",
        )
    if not certificate:
        return warn(
            "the certificate is not checked: anybody in between can read the log",
            "remove tls::insecure_skip_verify and name the authority in tls::ca_file",
        )
    lasting = [_left_s(facts, one) for one in (certificate, *authorities)]
    left = min(lasting)
    if left < EXPIRES_SOON_S:
        whose = "its certificate" if lasting[0] == left else "an authority of tls::ca_file"
        soon = f"{whose} expires in {duration(left)}"
        return warn(soon, "renew it: nothing is delivered afterwards")
    return ok(f"the chain is good for another {duration(left)}")


def _left_s(facts: ExporterFacts, certificate: object) -> float:
    assert isinstance(certificate, dict)  # noqa: S101 - ssl makes no others
    return ssl.cert_time_to_seconds(certificate["notAfter"]) - facts.now()


def _in_the_clear(facts: ExporterFacts) -> CheckResult:
    shows_keys = bool(getattr(facts.exporter, "headers", None) or facts.credentials)
    if shows_keys and not is_local(facts.place.host if facts.place else ""):
        return warn("headers and credentials travel in the clear", "write https:// if it takes it")
    return ok("no TLS is asked for")


def credentials(facts: ExporterFacts) -> CheckResult:
    """Read every key as the agent will; with OAuth 2, fetch a token."""
    exporter = facts.exporter
    headers = getattr(exporter, "headers", {})
    try:
        values = {n: read_setting(v.resolve, f"the header {n}") for n, v in headers.items()}
        granted = facts.credentials
        if granted is not None:
            values |= read_setting(granted.headers, "the credentials")
    except UnreadableSettingError as error:
        return fail(str(error), "create the file, or let the agent's user read it")
    except NoCredentialsError as error:
        return fail(getattr(error.outcome, "why", str(error)), "correct the oauth2client extension")
    empty = [name for name, value in values.items() if value.strip() in _NO_KEYS]
    if empty:
        return fail(f"the header {empty[0]} is empty", "set the variable or file that it is from")
    vendor = VENDORS.get(exporter.audit.vendor or "")
    if vendor is not None:
        sent = {name.lower() for name in values}
        for header in vendor.headers:
            if header.required and header.name.lower() not in sent:
                return fail(
                    f"{vendor.title} wants the header {header.name}",
                    f"see k8s-audit-otlp vendors show {vendor.name}",
                )
    if isinstance(exporter, KafkaExporter) and exporter.auth.sasl is not None:
        return _sasl(exporter.auth.sasl)
    if not values:
        return ok("none are sent")
    return ok(f"{', '.join(values)}: there, and not empty; whether they are right tells --send")


def _sasl(sasl: Sasl) -> CheckResult:
    try:
        empty = not (sasl.username.resolve().strip() and sasl.password.resolve().strip())
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        return fail(why, "create the file, or let the agent's user read it")
    if empty:
        return fail("auth::sasl is empty", "set the variable or file that it is from")
    return ok(f"{sasl.mechanism}: there, and not empty; whether they are right tells --send")


def clock(facts: ExporterFacts) -> CheckResult:
    """Compare this host's clock with the back end's."""
    through_proxy = facts.place is not None and facts.place.proxy is not None
    if (blocked := _blocked(facts, "proxy" if through_proxy else "tcp")) is not None:
        return blocked
    try:
        ahead = facts.clock_ahead_s
    except StepError as error:
        return skipped(str(error), "see exporter.tls")
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
    place = facts.place
    of_datakit = facts.exporter.audit.vendor == "guance" or (place and place.port == 9529)
    return bool(of_datakit) or str(facts.exporter.url).endswith("/otel/v1/logs")


CHECKS: tuple[Check[ExporterFacts], ...] = (
    Check("exporter.dns", _on_network(dns)),
    Check("exporter.tcp", _on_network(tcp)),
    Check("exporter.proxy", _on_network(proxy)),
    Check("exporter.tls", _on_network(tls)),
    Check("exporter.credentials", credentials),
    Check("exporter.topic", topic),
    Check("exporter.clock", _on_network(clock)),
    Check("exporter.age", age),
    Check("exporter.send", send),
)
