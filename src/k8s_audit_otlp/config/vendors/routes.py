"""Back ends that take no OTLP logs, or only with credentials that change: through a Collector.

In comes a name, out goes a Collector's configuration. Its exporters and extensions are those of
opentelemetry-collector-contrib; these configurations have not been run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

_Tree: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One way through a Collector."""

    name: str
    title: str
    why: str
    exporter_id: str
    exporter: _Tree
    extensions: _Tree = field(default_factory=dict)

    def collector(self) -> dict[str, Any]:
        """Return the Collector's configuration: what it has acknowledged is on its disk."""
        storage = {"directory": "/var/lib/otelcol/storage", "create_directory": True}
        return {
            "extensions": {"file_storage": storage, **self.extensions},
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": "localhost:4318"}}}},
            "exporters": {
                self.exporter_id: {
                    **self.exporter,
                    "retry_on_failure": {"max_elapsed_time": 0},
                    "sending_queue": {"block_on_overflow": True, "storage": "file_storage"},
                }
            },
            "service": {
                "extensions": ["file_storage", *self.extensions],
                "pipelines": {"logs": {"receivers": ["otlp"], "exporters": [self.exporter_id]}},
            },
        }


_AZURE_URL = (
    "https://<dce>.<region>-1.ingest.monitor.azure.com"
    "/datacollectionRules/<dcr-immutable-id>/streams/Microsoft-OTLP-Logs/otlp/v1/logs"
)
_ROWS: Final = (
    Route(
        "splunk",
        "Splunk",
        "Splunk takes logs over HEC, not over OTLP",
        "splunk_hec",
        {
            "endpoint": "https://splunk:8088/services/collector",
            "token": "${env:SPLUNK_HEC_TOKEN}",
            "source": "k8s-audit",
            "sourcetype": "_json",
        },
    ),
    Route(
        "azure-monitor",
        "Azure Monitor",
        "its OTLP endpoint wants Entra ID tokens that last about an hour",
        "otlp_http/azure",
        {"logs_endpoint": _AZURE_URL, "auth": {"authenticator": "azureauth"}},
        {"azureauth": {"managed_identity": {}, "scopes": ["https://monitor.azure.com/.default"]}},
    ),
    Route(
        "google-cloud",
        "Google Cloud Logging",
        "its OTLP endpoint wants OAuth2 tokens that last about an hour",
        "otlp_grpc/google",
        {
            "endpoint": "telemetry.googleapis.com:443",
            "auth": {"authenticator": "googleclientauth"},
        },
        {"googleclientauth": {"project": "<project>"}},
    ),
    Route(
        "aws-cloudwatch",
        "AWS CloudWatch Logs",
        "its OTLP endpoint wants requests that are signed with SigV4",
        "otlp_http/cloudwatch",
        {
            "logs_endpoint": "https://logs.<region>.amazonaws.com/v1/logs",
            "headers": {"x-aws-log-group": "k8s-audit", "x-aws-log-stream": "<cluster>"},
            "auth": {"authenticator": "sigv4auth"},
        },
        {"sigv4auth": {"region": "<region>", "service": "logs"}},
    ),
)

ROUTES: Final[Mapping[str, Route]] = {row.name: row for row in _ROWS}
