"""Back ends that take no OTLP logs, or only with credentials that change: through a Collector.

The rows are in routes.yaml. Their exporters and extensions are those of
opentelemetry-collector-contrib; these configurations have not been run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from k8s_audit_otlp.config.reading.document import packaged_yaml

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


ROUTES: Final[Mapping[str, Route]] = {
    name: Route(name, **row) for name, row in packaged_yaml(__package__, "routes.yaml").items()
}
