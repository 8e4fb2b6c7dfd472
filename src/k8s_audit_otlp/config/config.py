"""The whole configuration as one frozen value, or what is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.config.extensions import Extension
from k8s_audit_otlp.config.mistakes import Kind, Mistake, Remark
from k8s_audit_otlp.config.reading.collector_keys import ALIASES
from k8s_audit_otlp.config.reading.document import Path, where
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.config.service import Service
from k8s_audit_otlp.config.sources import Source, log_id


@dataclass(frozen=True, slots=True)
class Config:
    """Components by id, `type[/name]` with the canonical type: `otlp_http/siem`.

    A source is no receiver of files itself: `receivers` holds the ones that read its spools.
    """

    receivers: Mapping[str, K8sAudit]
    exporters: Mapping[str, Exporter]
    extensions: Mapping[str, Extension]
    service: Service
    sources: Mapping[str, Source] = field(default_factory=dict)

    def spools(self) -> Iterator[tuple[str, str, str]]:
        """Yield (source id, cluster, receiver id) of every spool."""
        for source_id, source in self.sources.items():
            for cluster in source.clusters_served():
                yield source_id, cluster, log_id(source_id, cluster)

    def receivers_of(self, exporter_id: str) -> tuple[str, ...]:
        """Return the ids of the receivers that *exporter_id* sends; none when it is disabled."""
        audit = self.exporters[exporter_id].audit
        if not audit.enabled:
            return ()
        named = {log: source for source, _, log in self.spools()}
        written = [named.get(receiver, receiver) for receiver in self.receivers]
        chosen = set(written if audit.receivers is None else audit.receivers)
        if self.service.pipelines:
            chosen &= {
                receiver
                for pipeline in self.service.pipelines.values()
                if exporter_id in pipeline.exporters
                for receiver in pipeline.receivers
            }
        pairs = zip(self.receivers, written, strict=True)
        return tuple(receiver for receiver, name in pairs if name in chosen)

    def routes(self) -> Iterator[tuple[str, str]]:
        """Yield each (receiver id, exporter id) that events flow along."""
        for exporter in self.exporters:
            for receiver in self.receivers_of(exporter):
                yield receiver, exporter


def canonical(component_id: str) -> str:
    """Return the id with its type's own name: `otlphttp/siem` is `otlp_http/siem`."""
    kind, slash, name = component_id.partition("/")
    return f"{ALIASES.get(kind, kind)}{slash}{name}"


@dataclass(slots=True)
class ConfigFindings:
    """What was found on the way; `config` is there when there are no mistakes."""

    mistakes: list[Mistake] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    config: Config | None = None
    written: dict[str, str] = field(default_factory=dict)  # a component's id as spelled there

    def path_of(self, section: str, component_id: str) -> Path:
        return (section, self.written.get(where((section, component_id)), component_id))

    def mistake(self, path: Path, what: str, hint: str) -> None:
        self.mistakes.append(Mistake(where(path), what, hint))

    def remark(self, path: Path, kind: Kind, why: str) -> None:
        self.remarks.append(Remark(where(path), kind, why))
