"""Builds a Config from an expanded tree, or tells every mistake in it. No I/O.

Collector keys are sorted out first (reading/collector_keys.py), then each block meets its model,
then the blocks are checked against each other.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from k8s_audit_otlp.config.config import Config, ConfigFindings, canonical
from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.config.extensions import Extension
from k8s_audit_otlp.config.mistakes import Kind, suggest
from k8s_audit_otlp.config.reading.collector_keys import (
    FOREIGN_EXPORTERS,
    FOREIGN_RECEIVERS,
    IDLE_EXTENSIONS,
    rules_met,
    table_of,
)
from k8s_audit_otlp.config.reading.crosscheck import check_processors, check_references
from k8s_audit_otlp.config.reading.document import Path, where
from k8s_audit_otlp.config.reading.model_errors import explain, has_key
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.config.service import Service
from k8s_audit_otlp.config.sources import Source, logs_of
from k8s_audit_otlp.config.vendors.apply import (
    check_resources,
    check_vendor,
    forget_unwritten,
    preset,
)
from k8s_audit_otlp.config.vendors.preset import VENDORS

_Model = TypeVar("_Model", bound=BaseModel)

RECEIVERS: Mapping[str, type[K8sAudit | Source]] = {
    one.type: one for one in (K8sAudit, *get_args(Source))
}
EXPORTERS: Mapping[str, type[Exporter]] = {one.type: one for one in get_args(Exporter)}
EXTENSIONS: Mapping[str, type[Extension]] = {one.type: one for one in get_args(Extension)}
SECTIONS = ("receivers", "processors", "exporters", "extensions", "service")
_NAMED = 5  # keys that a message names
_NAME = re.compile(r"[^\s/][^\s]*")
_SECTION_HINT = {
    "receivers": "write receivers: {k8s_audit: {include: [/var/log/kubernetes/audit.log]}}",
    "exporters": "write exporters: {otlp_http: {endpoint: http://HOST:4318}}",
}


def build(tree: Any) -> ConfigFindings:
    """Return the Config that *tree* describes, with everything that is worth saying about it."""
    found = ConfigFindings()
    if not isinstance(tree, Mapping):
        found.mistake((), "the file is not a block of keys", "write receivers: and exporters:")
        return found
    if tree and not set(SECTIONS) & set(tree):
        found.mistake((), _no_configuration(tree), "write receivers: and exporters:")
        return found
    for name in tree:
        if name == "connectors":
            found.mistake((name,), "there are no connectors here", "remove the section")
        elif name not in SECTIONS:
            in_service = has_key(Service, (name,))
            hint = f"write service: {{{name}: ...}}" if in_service else suggest(name, SECTIONS)
            found.mistake((name,), "unknown section", hint)
    check_processors(_section(tree, "processors", found), tree.get("service"), found)
    receivers = _components(tree, "receivers", RECEIVERS, found)
    from_beginning = all(
        one.start_at.kind == "beginning" for one in receivers.values() if isinstance(one, K8sAudit)
    )
    exporters = _components(tree, "exporters", EXPORTERS, found, from_beginning=from_beginning)
    extensions = _components(tree, "extensions", EXTENSIONS, found)
    service = _service(_section(tree, "service", found), found)
    if service is None:
        return found
    config = Config(
        dict(_file_receivers(receivers, service.state_dir)),
        cast("Mapping[str, Exporter]", exporters),
        cast("Mapping[str, Extension]", extensions),
        service,
        {name: one for name, one in receivers.items() if not isinstance(one, K8sAudit)},
    )
    check_references(config, tree, found)
    for exporter_id, exporter in config.exporters.items():
        check_vendor(exporter, found.path_of("exporters", exporter_id), found)
    check_resources(config, found)
    found.config = config
    return found


def _no_configuration(tree: Mapping[str, Any]) -> str:
    """Say what a file seems to be in which no section of a configuration is."""
    kind, group = tree.get("kind"), str(tree.get("apiVersion", ""))
    if kind == "Event" and group.startswith("audit.k8s.io"):
        return "this is an audit event, no configuration (a log is given with --path)"
    if kind and group:
        return f"this is a {kind} of Kubernetes, no configuration"
    # A line of another file may be a key to YAML, and hold a secret: /etc/shadow is such a file.
    named = ", ".join(name for name in list(tree)[:_NAMED] if re.fullmatch(r"[\w.-]{1,40}", name))
    return f"this is no configuration{': it has the keys ' if named else ''}{named}"


def _file_receivers(
    receivers: Mapping[str, K8sAudit | Source], state_dir: str
) -> Iterator[tuple[str, K8sAudit]]:
    """Put the readers of its spools in the place of each source."""
    for name, one in receivers.items():
        if isinstance(one, K8sAudit):
            yield name, one
        else:
            yield from logs_of(name, one, state_dir)


def _section(tree: Mapping[str, Any], name: str, found: ConfigFindings) -> Mapping[str, Any]:
    section = tree.get(name)
    if section is None:
        section = {}
    if not isinstance(section, Mapping):
        found.mistake((name,), "is not a block of keys", "write one id per line below it")
        return {}
    if not section and name in _SECTION_HINT:
        found.mistake((name,), f"no {name[:-1]} is given", _SECTION_HINT[name])
    return section


def _components(
    tree: Mapping[str, Any],
    section: str,
    models: Mapping[str, type[_Model]],
    found: ConfigFindings,
    *,
    from_beginning: bool = True,
) -> dict[str, _Model]:
    built: dict[str, _Model] = {}
    for written, block in _section(tree, section, found).items():
        path = (section, written)
        component_id = canonical(written)
        kind, slash, name = component_id.partition("/")
        if kind in IDLE_EXTENSIONS and section == "extensions":
            found.remark(path, Kind.NO_EFFECT, "it serves the Collector itself")
        elif kind not in models:
            found.mistake(path, *_unknown(section, written.partition("/")[0], models))
        elif slash and not _NAME.fullmatch(name):
            found.mistake(path, "the name after / is empty or holds white space", "write type/name")
        elif (place := where((section, component_id))) in found.written:
            found.mistake(path, f"is the same as {found.written[place]}", "give it another name")
        else:
            found.written[place] = written
            filled = preset(kind, block, from_beginning=from_beginning)
            component = validate(models[kind], table_of(section, kind), filled, path, found)
            if component is not None:
                if filled is not block:
                    forget_unwritten(component, block)
                built[component_id] = component
    return built


def exporter_id(written: str) -> str:
    """Return the id that *written* is in a configuration; '' where it can be none."""
    kind, slash, name = canonical(written).partition("/")
    is_one = kind in EXPORTERS and (not slash or _NAME.fullmatch(name))
    return f"{kind}{slash}{name}" if is_one else ""


def _unknown(section: str, kind: str, models: Mapping[str, type[_Model]]) -> tuple[str, str]:
    """Say what to write in the place of a type that is not there."""
    if section == "exporters" and kind in FOREIGN_EXPORTERS:
        return f"{kind} is an exporter of the Collector", FOREIGN_EXPORTERS[kind]
    if section == "receivers" and kind in FOREIGN_RECEIVERS:
        return f"{kind} is a receiver of the Collector", FOREIGN_RECEIVERS[kind]
    if section == "exporters" and kind in VENDORS:
        hint = f"write otlp_http with audit: {{vendor: {kind}}}; see vendors show {kind}"
        return f"{kind} is a preset, no type of an exporter", hint
    return f"unknown type {kind}", suggest(kind, models, "what else a Collector has stays there")


def validate(
    model: type[_Model], kind: str, block: Any, path: Path, found: ConfigFindings
) -> _Model | None:
    """Return *block* as *model*; None when it has mistakes."""
    before = len(found.mistakes)
    if isinstance(block, Mapping):
        block = _sort_out(model, kind, block, path, found)
    try:
        made = model.model_validate(block)
    except ValidationError as error:
        found.mistakes.extend(explain(error, model, kind, path))
        return None
    return made if len(found.mistakes) == before else None


def _sort_out(
    model: type[BaseModel], kind: str, block: Mapping[str, Any], path: Path, found: ConfigFindings
) -> Any:
    """Leave in *block* what has a meaning here; say what becomes of the rest."""
    for rule in rules_met(kind, block):
        place = (*path, *rule.path)
        if rule.remark is None:
            found.mistake(place, rule.why, rule.hint)
            block = without(block, rule.path)
            continue
        found.remark(place, rule.remark, rule.why)
        if not has_key(model, rule.path):
            block = without(block, rule.path)
    return block


def without(block: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {key: value for key, value in block.items() if key != head}
    return {**block, head: without(block[head], tuple(rest))}


def _service(section: Mapping[str, Any], found: ConfigFindings) -> Service | None:
    pipelines = section.get("pipelines")
    if isinstance(pipelines, Mapping):
        section = {**section, "pipelines": _pipelines(pipelines, found)}
    return validate(Service, "service", section, ("service",), found)


def _pipelines(pipelines: Mapping[str, Any], found: ConfigFindings) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, pipeline in pipelines.items():
        path: Path = ("service", "pipelines", name)
        if name.partition("/")[0] != "logs":
            found.remark(path, Kind.NO_EFFECT, "only logs are sent")
            continue
        if not isinstance(pipeline, Mapping):
            kept[name] = pipeline
            continue
        kept[name] = {
            key: [canonical(str(one)) for one in value] if isinstance(value, list) else value
            for key, value in pipeline.items()
            if key != "processors"
        }
    return kept
