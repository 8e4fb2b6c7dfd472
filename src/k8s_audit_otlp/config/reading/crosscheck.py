"""Whether the components of a Config fit each other: every id that is mentioned is defined.

Of the processors in a pasted Collector file it says what becomes of them. Batching and bounded
memory are done anyway. One that would change what is sent is refused, with what does the same here:
events would leave unprocessed. One that no logs pipeline uses does nothing in the Collector either.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from k8s_audit_otlp.config.blocks import Auth
from k8s_audit_otlp.config.config import Config, ConfigFindings, canonical
from k8s_audit_otlp.config.extensions import BearerToken
from k8s_audit_otlp.config.mistakes import Kind, suggest
from k8s_audit_otlp.config.reading.collector_keys import FOREIGN_PROCESSORS, IDLE_PROCESSORS
from k8s_audit_otlp.config.reading.conflicts import check_conflicts
from k8s_audit_otlp.config.reading.document import Path
from k8s_audit_otlp.config.sources import AuditWebhook


def check_references(config: Config, tree: Mapping[str, Any], found: ConfigFindings) -> None:
    """Check that every id that is mentioned is defined; one with mistakes of its own counts."""
    ids = {
        section: {canonical(str(one)) for one in _mapping(tree.get(section))}
        for section in ("receivers", "exporters", "extensions")
    }
    for exporter_id, exporter in config.exporters.items():
        path = found.path_of("exporters", exporter_id)
        for receiver in exporter.audit.receivers or ():
            _check_id(receiver, ids["receivers"], (*path, "audit", "receivers"), found)
        auth = getattr(exporter, "auth", None)
        if isinstance(auth, Auth):
            place = (*path, "auth", "authenticator")
            _check_id(auth.authenticator, ids["extensions"], place, found)
    _check_sources(config, ids["extensions"], found)
    check_conflicts(config, found)
    for name, pipeline in config.service.pipelines.items():
        place = ("service", "pipelines", name)
        for receiver in pipeline.receivers:
            _check_id(receiver, ids["receivers"], (*place, "receivers"), found)
        for exporter_id in pipeline.exporters:
            _check_id(exporter_id, ids["exporters"], (*place, "exporters"), found)
    for extension in config.service.extensions:
        _check_id(extension, ids["extensions"], ("service", "extensions"), found)
    for exporter_id in config.exporters:
        if not config.receivers_of(exporter_id) and not found.mistakes:
            why = "it is off or in no pipeline: disabled, its position is kept"
            found.remark(found.path_of("exporters", exporter_id), Kind.NO_EFFECT, why)


def _check_sources(config: Config, extensions: set[str], found: ConfigFindings) -> None:
    for source_id, source in config.sources.items():
        if isinstance(source, AuditWebhook) and source.auth is not None:
            place = (*found.path_of("receivers", source_id), "auth", "authenticator")
            _check_id(source.auth.authenticator, extensions, place, found)
            extension = config.extensions.get(source.auth.authenticator)
            if extension is not None and not isinstance(extension, BearerToken):
                hint = "name a bearertokenauth, or use tls::client_ca_file"
                found.mistake(place, "a server can only check a bearer token", hint)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _check_id(one: str, known: set[str], path: Path, found: ConfigFindings) -> None:
    if one not in known:
        hint = suggest(one, known) if known else "define it first"
        found.mistake(path, f"{one} is not defined", hint)


def check_processors(section: Mapping[str, Any], service: Any, found: ConfigFindings) -> None:
    """Check the `processors` section and what the logs pipelines of *service* say of it."""
    pipelines = service.get("pipelines") if isinstance(service, Mapping) else None
    used = dict(_used(pipelines) if isinstance(pipelines, Mapping) else ())
    for name in section:
        path: Path = ("processors", name)
        if pipelines and name not in used and _kind(name) not in IDLE_PROCESSORS:
            found.remark(path, Kind.NO_EFFECT, "no logs pipeline uses it")
        else:
            _judge(path, name, found)
    for name, path in used.items():
        if name not in section and _kind(name) not in IDLE_PROCESSORS:
            hint = suggest(name, section) if section else "define it, or remove it here"
            found.mistake(path, f"{name} is not defined", hint)


def _used(pipelines: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield each processor that a logs pipeline names, and where."""
    for name, pipeline in pipelines.items():
        if name.partition("/")[0] == "logs" and isinstance(pipeline, Mapping):
            for processor in pipeline.get("processors") or ():
                yield str(processor), ("service", "pipelines", name, "processors")


def _kind(name: str) -> str:
    return str(name).partition("/")[0]


def _judge(path: Path, name: str, found: ConfigFindings) -> None:
    kind = _kind(name)
    if kind in IDLE_PROCESSORS:
        found.remark(path, Kind.NO_EFFECT, "exporters batch, and memory is bounded, by themselves")
    elif kind in FOREIGN_PROCESSORS:
        what = f"{kind} is a processor of the Collector: here events would leave unprocessed"
        found.mistake(path, what, FOREIGN_PROCESSORS[kind])
    else:
        known = (*IDLE_PROCESSORS, *FOREIGN_PROCESSORS)
        hint = suggest(kind, known, "a Collector that has another one can run it")
        found.mistake(path, f"unknown processor {kind}", hint)
