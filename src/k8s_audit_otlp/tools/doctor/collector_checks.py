"""Checks the configuration of a Collector behind the agent: whether it keeps what it accepts.

A Collector that answers before its own exporter has delivered may lose what the agent counts as
delivered. Keys: github.com/open-telemetry/opentelemetry-collector exporter/exporterhelper.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from k8s_audit_otlp.config.durations import parse_duration
from k8s_audit_otlp.config.reading.plain_yaml import YamlError, parse_yaml
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, skipped

# exporters without a sending queue of their own: what they are given is written or shown at once
QUEUELESS = frozenset({"debug", "nop", "file"})
INTAKES = frozenset({"otlp", "otlpjsonfile", "otlp_json_file"})


@dataclass(frozen=True, slots=True)
class CollectorFacts:
    """One configuration file, as it was read; `trouble` says why it was not."""

    tree: Mapping[str, Any]
    trouble: str = ""

    @classmethod
    def read(cls, text: str) -> "CollectorFacts":
        try:
            tree = parse_yaml(text)
        except YamlError as error:
            return cls({}, f"it is no YAML: {error}")
        return cls(tree) if isinstance(tree, dict) else cls({}, "it holds no blocks of keys")

    def block(self, *path: str) -> Mapping[str, Any]:
        found: Any = self.tree
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def pipelines(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the logs pipelines that take in OTLP."""
        for name, pipeline in self.block("service", "pipelines").items():
            if _type(str(name)) != "logs" or not isinstance(pipeline, Mapping):
                continue
            if any(_type(str(r)) in INTAKES for r in pipeline.get("receivers") or ()):
                yield str(name), pipeline

    def exporters(self) -> list[str]:
        """Return the ids of what those pipelines lead to."""
        ids = (str(e) for _, p in self.pipelines() for e in p.get("exporters") or ())
        return list(dict.fromkeys(e for e in ids if _type(e) not in QUEUELESS))


def _type(component: str) -> str:
    return component.partition("/")[0]


def _needs_pipelines(
    look: Callable[[CollectorFacts], CheckResult],
) -> Callable[[CollectorFacts], CheckResult]:
    def check(facts: CollectorFacts) -> CheckResult:
        return look(facts) if list(facts.pipelines()) else skipped("see collector.pipeline")

    return check


def pipeline(facts: CollectorFacts) -> CheckResult:
    """Look for a logs pipeline that takes in what the agent sends."""
    if facts.trouble:
        return fail(facts.trouble, "give the Collector's own configuration file")
    names = [name for name, _ in facts.pipelines()]
    if not names:
        return fail(
            "no logs pipeline has an otlp receiver",
            "add one: service::pipelines::logs::receivers: [otlp]",
        )
    return ok(f"{', '.join(names)} takes OTLP logs")


def batch(facts: CollectorFacts) -> CheckResult:
    """Refuse the batch processor: it answers as soon as records are in its memory."""
    for name, one in facts.pipelines():
        found = [str(p) for p in one.get("processors") or () if _type(str(p)) == "batch"]
        if found:
            return fail(
                f"the processor {found[0]} in {name} acknowledges before anything is exported",
                "take it out, and batch in the exporter: sending_queue::batch",
            )
    return ok("no processor acknowledges before the export")


def queue(facts: CollectorFacts) -> CheckResult:
    """Ask each exporter's queue to be on disk, or to answer only when it has delivered."""
    for name in facts.exporters():
        settings = facts.block("exporters", name, "sending_queue")
        if settings.get("enabled") is False or settings.get("wait_for_result") is True:
            continue
        storage = settings.get("storage")
        if not storage:
            return fail(
                f"the queue of {name} is in memory: a restart of the Collector loses what it has "
                "acknowledged",
                "add sending_queue::storage: file_storage, or wait_for_result: true",
            )
        if storage not in (facts.block("service").get("extensions") or ()):
            return fail(
                f"{name} wants the storage {storage}, which service::extensions does not start",
                f"add {storage} to service::extensions and to extensions",
            )
    return ok("what is acknowledged is on disk or delivered")


def retries(facts: CollectorFacts) -> CheckResult:
    """Ask for retries without an end: after five minutes a Collector drops by default."""
    for name in facts.exporters():
        settings = facts.block("exporters", name, "retry_on_failure")
        if settings.get("enabled") is False:
            return fail(f"{name} drops what fails once", "write retry_on_failure::enabled: true")
        longest = str(settings.get("max_elapsed_time", "5m"))
        if _seconds(longest) > 0:
            return fail(
                f"{name} drops what it cannot deliver for {longest}",
                "write retry_on_failure::max_elapsed_time: 0",
            )
    return ok("what cannot be delivered is repeated for ever")


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        return 0.0  # an expression such as ${env:X}: nobody can tell from here


CHECKS: Checks[CollectorFacts] = {
    "collector.pipeline": pipeline,
    "collector.batch": _needs_pipelines(batch),
    "collector.queue": _needs_pipelines(queue),
    "collector.retries": _needs_pipelines(retries),
}
