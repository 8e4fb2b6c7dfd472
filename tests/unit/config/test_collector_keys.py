"""Every key of a pasted Collector block has a known fate, and validate says which."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.config.mistakes import Kind
from k8s_audit_otlp.config.reading.build import EXPORTERS, EXTENSIONS, RECEIVERS
from k8s_audit_otlp.config.reading.collector_keys import KEYS, always, is_set
from k8s_audit_otlp.config.reading.model_errors import block_at, has_key
from k8s_audit_otlp.config.service import Service
from tests.unit.config.collector_structs import COLLECTOR

HEAD = "receivers: {k8s_audit: {include: /nope/audit.log}}\nexporters:\n"
ENV = {"TOKEN": "sesame", "POD": "agent-1"}


def _all_keys() -> Iterator[tuple[str, str]]:
    for kind, keys in COLLECTOR.items():
        yield from ((kind, key) for key in keys)


def _model(kind: str) -> type[BaseModel]:
    models = {**RECEIVERS, **EXPORTERS, **EXTENSIONS, "service": Service}
    return {**models, "kafka receiver": RECEIVERS["kafka"]}[kind]


@pytest.mark.parametrize(("kind", "key"), list(_all_keys()))
def test_every_key_of_the_collector_is_classified(kind: str, key: str) -> None:
    """No pasted key is merely unknown: it is a key here as well, or a rule tells its fate."""
    known = has_key(_model(kind), tuple(key.split("::")))
    assert known or [rule for rule in KEYS[kind] if rule.key == key]


@pytest.mark.parametrize("kind", KEYS)
def test_a_rule_for_every_value_is_about_a_key_that_is_none_here(kind: str) -> None:
    """The table and the models cannot drift apart, and each rule's block is there."""
    for rule in KEYS[kind]:
        assert block_at(_model(kind), rule.path[:-1]) is not None, rule.key
        if rule.when is always or rule.when is is_set:
            assert not has_key(_model(kind), rule.path), rule.key


def test_every_rule_says_why_and_a_refusal_what_helps() -> None:
    """Nobody is told a fate without its reason."""
    for rules in KEYS.values():
        for rule in rules:
            assert rule.why, rule
            assert bool(rule.hint) == (rule.remark is None), rule


# blocks as vendors print them -> what is remarked upon, in the order of the table
PASTED = {
    "grafana-cloud": (
        """
  otlphttp/grafana:
    endpoint: https://otlp-gateway-prod-eu-west-2.grafana.net/otlp
    headers: {Authorization: "Basic ${env:TOKEN}"}
""",
        {"endpoint": Kind.LOOK},
    ),
    "guance": (
        """
  otlphttp:
    logs_endpoint: http://datakit-service.datakit:9529/otel/v1/logs
    traces_endpoint: http://datakit-service.datakit:9529/otel/v1/traces
    tls: {insecure: true}
    compression: none
""",
        {"logs_endpoint": Kind.LOOK, "traces_endpoint": Kind.NO_EFFECT},
    ),
    "datadog": (
        """
  otlphttp/datadog:
    logs_endpoint: https://otlp.datadoghq.com/v1/logs
    headers: {dd-api-key: "${env:TOKEN}"}
    sending_queue: {batch: {min_size: 500, max_size: 1000, sizer: items}}
""",
        {"logs_endpoint": Kind.LOOK},
    ),
    "newrelic": (
        """
  otlphttp/newrelic:
    endpoint: https://otlp.nr-data.net
    headers: {api-key: "${env:TOKEN}"}
    compression: gzip
    timeout: 10s
    retry_on_failure: {enabled: true, max_elapsed_time: 300s}
""",
        {
            "endpoint": Kind.LOOK,
            "retry_on_failure::max_elapsed_time": Kind.DIFFERENT,
            "retry_on_failure::enabled": Kind.NO_EFFECT,
        },
    ),
    "honeycomb": (
        """
  otlp/honeycomb:
    endpoint: "api.honeycomb.io:443"
    headers: {"x-honeycomb-team": "${env:TOKEN}"}
""",
        {"endpoint": Kind.LOOK},
    ),
    "dynatrace": (
        """
  otlphttp/dynatrace:
    endpoint: https://abc.live.dynatrace.com/api/v2/otlp
    headers: {Authorization: "Api-Token ${env:TOKEN}"}
    disable_keep_alives: false
    max_idle_conns: 10
""",
        {
            "endpoint": Kind.LOOK,
            "max_idle_conns": Kind.NO_EFFECT,
            "disable_keep_alives": Kind.NO_EFFECT,
        },
    ),
    "elastic": (
        """
  otlp/elastic:
    endpoint: https://motlp.elastic.cloud:443
    headers: {Authorization: "ApiKey ${env:TOKEN}"}
    compression: gzip
    sending_queue:
      enabled: true
      sizer: bytes
      queue_size: 50000000
      block_on_overflow: true
      batch: {flush_timeout: 1s, min_size: 1000000, max_size: 4000000}
""",
        {
            "endpoint": Kind.LOOK,
            "sending_queue::enabled": Kind.NO_EFFECT,
            "sending_queue::queue_size": Kind.NO_EFFECT,
            "sending_queue::block_on_overflow": Kind.NO_EFFECT,
        },
    ),
    "loki": (
        """
  otlphttp/loki:
    endpoint: http://loki:3100/otlp
    headers: {X-Scope-OrgID: tenant}
    auth: {authenticator: basicauth/loki}
extensions:
  basicauth/loki: {client_auth: {username: u, password: "${env:TOKEN}"}}
""",
        {"endpoint": Kind.LOOK},
    ),
    "gateway": (
        """
  otlp:
    endpoint: ${env:GATEWAY:-gateway.example.com:4317}
    tls: {ca_file: /nope/ca.crt, min_version: "1.2", reload_interval: 1h}
    balancer_name: round_robin
    wait_for_ready: true
    keepalive: {time: 30s, timeout: 5s, permit_without_stream: true}
    read_buffer_size: 1024
    sending_queue: {storage: file_storage, num_consumers: 8}
extensions:
  file_storage: {directory: /var/lib/otelcol}
  health_check: {endpoint: "0.0.0.0:13133"}
service:
  extensions: [file_storage, health_check]
""",
        {
            "read_buffer_size": Kind.NO_EFFECT,
            "tls::reload_interval": Kind.NO_EFFECT,
            "sending_queue::storage": Kind.NO_EFFECT,
            "wait_for_ready": Kind.NO_EFFECT,
            "balancer_name": Kind.NO_EFFECT,
            "tls::ca_file": Kind.MISSING,
        },
    ),
    "signoz": (
        """
  otlp/signoz:
    endpoint: "ingest.eu.signoz.cloud:443"
    tls: {insecure: false}
    timeout: 20s
    headers: {"signoz-ingestion-key": "${env:TOKEN}"}
    retry_on_failure: {enabled: false}
""",
        {"endpoint": Kind.LOOK, "retry_on_failure::enabled": Kind.DIFFERENT},
    ),
    "oauth": (
        """
  otlphttp/azure:
    endpoint: https://ingest.example.com
    auth: {authenticator: oauth2client}
    cookies: {enabled: false}
    force_attempt_http2: true
extensions:
  oauth2client:
    client_id: id
    client_secret: ${env:TOKEN}
    token_url: https://login.example.com/token
    scopes: [ingest]
    endpoint_params: {audience: [x, y], tenant: z}
""",
        {"cookies": Kind.NO_EFFECT, "force_attempt_http2": Kind.NO_EFFECT},
    ),
    "file": (
        """
  file/audit:
    path: /nope/audit.jsonl
    rotation: {max_megabytes: 10, max_days: 3, max_backups: 3, localtime: true}
    format: json
    flush_interval: 1s
""",
        {
            "rotation::max_days": Kind.NO_EFFECT,
            "rotation::localtime": Kind.NO_EFFECT,
            "flush_interval": Kind.NO_EFFECT,
            "path": Kind.MISSING,
        },
    ),
}


@pytest.mark.parametrize("vendor", PASTED)
def test_a_pasted_block_loads_and_says_what_differs(vendor: str) -> None:
    """Nothing has to be removed; what has no effect or another meaning is named."""
    block, expected = PASTED[vendor]
    loaded = load_text(HEAD + block.lstrip("\n"), "agent.yaml", ENV)
    (exporter,) = loaded.config.exporters.values()
    assert list(loaded.config.routes())
    remarks = {
        one.where.split("::", 2)[2]: one.kind
        for one in loaded.remarks
        if one.where.startswith("exporters::")
    }
    assert remarks == expected
    assert "sesame" not in f"{exporter!r} {loaded.remarks}"
