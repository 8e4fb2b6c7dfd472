"""Checks how kube-apiserver posts to a webhook: what it gives up there is in no spool.

Defaults: k8s.io/apiserver/pkg/server/options/audit.go.
"""

from k8s_audit_otlp.apiserver.settings import LOG_PATH, WEBHOOK_FILE
from k8s_audit_otlp.apiserver.webhook import MODES, given_up_after_s
from k8s_audit_otlp.config.durations import format_duration, parse_duration
from k8s_audit_otlp.receiver.spool.event_list import MOST_EVENTS
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts
from k8s_audit_otlp.tools.doctor.verdict import Check, CheckResult, fail, ok, skipped, warn
from k8s_audit_otlp.tools.text import size

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
_NO_WEBHOOK = skipped("it posts to no webhook", "none is needed beside a log")
_WATCH = "watch apiserver_audit_error_total"


def _value(facts: ApiserverFacts, name: str) -> str:
    return facts.flags.get(f"audit-webhook-{name}", _DEFAULTS[name])


def given_up(facts: ApiserverFacts) -> CheckResult:
    """Say what is lost while the receiver is away, and what waits for it."""
    if not facts.flags.get(WEBHOOK_FILE):
        return _NO_WEBHOOK
    mode, backoff = _value(facts, "mode"), _value(facts, "initial-backoff")
    if mode not in MODES:
        return fail(f"--audit-webhook-mode={mode} is none", f"write one of {', '.join(MODES)}")
    try:
        patience_s = given_up_after_s(parse_duration(backoff))
    except ValueError:
        return fail(f"--audit-webhook-initial-backoff={backoff} is no duration", "write 10s")
    after = format_duration(round(patience_s))
    if mode == "blocking-strict":
        return warn(
            f"--audit-webhook-mode={mode} refuses requests while the receiver is away",
            "keep it only if no request may go unaudited; write blocking or batch else",
        )
    if mode == "blocking" and patience_s > LONG_S:
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


def batches(facts: ApiserverFacts) -> CheckResult:
    """Compare what it sends at once with what is taken, and its pace with the defaults."""
    if not facts.flags.get(WEBHOOK_FILE):
        return _NO_WEBHOOK
    if _value(facts, "mode") != "batch":
        return skipped("it sends each event by itself", "see apiserver.webhook")
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


def _default(name: str) -> float:
    return float(_DEFAULTS[name])


CHECKS: tuple[Check[ApiserverFacts], ...] = (
    Check("apiserver.webhook", given_up),
    Check("apiserver.webhook-batches", batches),
)
