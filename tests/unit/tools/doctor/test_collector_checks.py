"""What a Collector behind the agent may do with what it acknowledged."""

import pytest

from k8s_audit_otlp.tools.doctor.collector_checks import CHECKS, CollectorFacts
from k8s_audit_otlp.tools.doctor.findings import CheckResult, State
from tests.kit.present import present

TABLE = dict(CHECKS)

GOOD = """
receivers: {otlp: {protocols: {http: {}}}}
extensions: {file_storage: {directory: /var/lib/otelcol}}
exporters:
  otlphttp/siem:
    endpoint: https://siem.example
    sending_queue: {storage: file_storage, batch: {}}
    retry_on_failure: {max_elapsed_time: 0}
service:
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [otlp], processors: [memory_limiter], exporters: [otlphttp/siem, debug]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [otlphttp/siem]}
"""

# check -> what is changed in the good configuration so that it complains, and what it then says
BAD = {
    "collector.pipeline": [
        ("    logs: {receivers: [otlp]", "    logs: {receivers: [filelog]", "otlp receiver"),
        ("receivers: {otlp", "receivers: }{otlp", "no YAML"),
    ],
    "collector.batch": [("[memory_limiter]", "[memory_limiter, batch/x]", "batch/x")],
    "collector.queue": [
        ("storage: file_storage, ", "", "in memory"),
        ("extensions: [file_storage]", "extensions: []", "does not start"),
    ],
    "collector.retries": [
        ("max_elapsed_time: 0", "max_elapsed_time: 10m", "10m"),
        ("retry_on_failure: {max_elapsed_time: 0}", "timeout: 5s", "5m"),
        ("max_elapsed_time: 0", "enabled: false", "fails once"),
    ],
}


def judge(name: str, facts: CollectorFacts) -> CheckResult:
    return present(TABLE[name](facts))


@pytest.mark.parametrize("name", TABLE)
def test_a_good_configuration_passes(name: str) -> None:
    """A persistent queue, no batch processor, retries without an end."""
    assert judge(name, CollectorFacts.read(GOOD)).state is State.OK


@pytest.mark.parametrize(
    ("name", "old", "new", "said"), [(name, *case) for name, of in BAD.items() for case in of]
)
def test_what_loses_acknowledged_records_fails(name: str, old: str, new: str, said: str) -> None:
    """And names the component."""
    assert old in GOOD
    verdict = judge(name, CollectorFacts.read(GOOD.replace(old, new)))
    assert verdict.state is State.FAIL
    assert said in verdict.why
    assert verdict.hint


def test_every_check_has_a_bad_case() -> None:
    """No check without a test in which it fails."""
    assert BAD.keys() == TABLE.keys()


@pytest.mark.parametrize("instead", ["wait_for_result: true, ", "enabled: false, "])
def test_a_queue_that_answers_after_delivery_needs_no_disk(instead: str) -> None:
    """Its yes means delivered."""
    text = GOOD.replace("storage: file_storage, ", instead)
    assert judge("collector.queue", CollectorFacts.read(text)).state is State.OK


@pytest.mark.parametrize("text", ["", "[]", "x", "service: {pipelines: {logs: null}}"])
def test_what_is_no_collector_configuration_fails_once(text: str) -> None:
    """The pipeline check says so, the others are skipped."""
    facts = CollectorFacts.read(text)
    states = {name: judge(name, facts).state for name in TABLE}
    assert states.pop("collector.pipeline") is State.FAIL
    assert set(states.values()) == {State.SKIPPED}
