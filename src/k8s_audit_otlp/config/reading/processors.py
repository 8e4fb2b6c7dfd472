"""What becomes of the processors in a pasted Collector file. No I/O.

Batching and bounded memory are done anyway. One that would change what is sent is refused, with
what does the same here: events would leave unprocessed. One that no logs pipeline uses does nothing
in the Collector either.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from k8s_audit_otlp.config.config import Findings
from k8s_audit_otlp.config.mistakes import Kind, suggest
from k8s_audit_otlp.config.reading.collector_keys import FOREIGN_PROCESSORS, IDLE_PROCESSORS
from k8s_audit_otlp.config.reading.document import Path


def check_processors(section: Mapping[str, Any], service: Any, found: Findings) -> None:
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


def _judge(path: Path, name: str, found: Findings) -> None:
    kind = _kind(name)
    if kind in IDLE_PROCESSORS:
        found.remark(path, Kind.NO_EFFECT, "exporters batch, and memory is bounded, by themselves")
    elif kind in FOREIGN_PROCESSORS:
        what = f"{kind} is a processor of the Collector: here events would leave unprocessed"
        found.mistake(path, what, FOREIGN_PROCESSORS[kind])
    else:
        known = (*IDLE_PROCESSORS, *FOREIGN_PROCESSORS)
        found.mistake(path, f"unknown processor {kind}", suggest(kind, known))
