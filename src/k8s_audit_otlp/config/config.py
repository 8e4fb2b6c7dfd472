"""The whole configuration as one frozen value, and which receiver feeds which exporter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.config.extensions import Extension
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.config.service import Service


@dataclass(frozen=True, slots=True)
class Config:
    """Components by id, `type[/name]` with the canonical type: `otlp_http/siem`."""

    receivers: Mapping[str, K8sAudit]
    exporters: Mapping[str, Exporter]
    extensions: Mapping[str, Extension]
    service: Service

    def receivers_of(self, exporter_id: str) -> tuple[str, ...]:
        """Return the ids of the receivers that *exporter_id* sends; none when it is disabled."""
        audit = self.exporters[exporter_id].audit
        if not audit.enabled:
            return ()
        chosen = set(self.receivers if audit.receivers is None else audit.receivers)
        if self.service.pipelines:
            chosen &= {
                receiver
                for pipeline in self.service.pipelines.values()
                if exporter_id in pipeline.exporters
                for receiver in pipeline.receivers
            }
        return tuple(receiver for receiver in self.receivers if receiver in chosen)

    def routes(self) -> Iterator[tuple[str, str]]:
        """Yield each (receiver id, exporter id) that events flow along."""
        for exporter in self.exporters:
            for receiver in self.receivers_of(exporter):
                yield receiver, exporter
