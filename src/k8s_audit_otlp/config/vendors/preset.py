"""What an exporter to a vendor is set to, unless its own keys say otherwise.

    audit: {vendor: datadog}   ->   profile, batch, limits, start_at, ... as defaults of the block

The rows are in vendors.yaml. Those of routes.yaml are back ends that take no OTLP logs, or only
with credentials that change: through a Collector. Their exporters and extensions are those of
opentelemetry-collector-contrib; these configurations have not been run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from msgspec import convert

from k8s_audit_otlp.config.reading.plain_yaml import packaged_yaml

Tree: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """A header of every request; where a `required` one lacks, and `auth` too, that is said."""

    name: str
    value: str  # as a configuration would write it
    required: bool = True


@dataclass(frozen=True, slots=True)
class Vendor:
    """One back end. Sizes and durations are written as in a configuration; empty: none known.

    `<...>` in endpoints is for the user to fill in.
    """

    name: str
    title: str
    endpoint: str  # the base URL; /v1/logs is appended
    sources: Mapping[str, str]  # group of facts -> where they were read
    hosts: str = ""  # of that vendor alone, as an expression
    read: str = ""  # when the sources were read, and which version of them
    path: str = ""  # of the logs URL, as an expression, where it is more than /v1/logs
    grpc: str = ""  # host:port, where gRPC is taken
    headers: tuple[Header, ...] = ()
    compressions: tuple[str, ...] = ("gzip", "none")  # of HTTP; the first one is used
    json: Literal["yes", "no", "unsafe", "unknown"] = "unknown"
    success: str = "2xx"
    profile: Literal["default", "plain", "semconv"] = "default"
    max_record_bytes: str = ""
    retry_codes: tuple[int, ...] = ()
    max_age: str = ""
    on_too_old: str = ""  # where it answers success and drops what is out of its time
    limits: Tree = field(default_factory=dict)  # keys of audit::limits, beside max_age
    receiver: Tree = field(default_factory=dict)  # keys of k8s_audit that belong to the preset
    hour_attribute: str = ""  # of the resource: makes a stream of each hour of events
    resource_wins: bool = False  # a resource attribute hides a record's of the same name
    quirks: tuple[str, ...] = ()

    def defaults(self, kind: str) -> dict[str, Any]:
        """Return the block of an exporter of this type as far as the vendor decides about it."""
        audit: dict[str, Any] = {
            "profile": self.profile,
            "max_record_bytes": self.max_record_bytes,
            "retry_status_codes": list(self.retry_codes) if kind == "otlp_http" else [],
            "start_at": self.max_age,
            "on_too_old": self.on_too_old,
            "hour_attribute": self.hour_attribute,
            "limits": {**self.limits, "max_age": self.max_age},
        }
        block: dict[str, Any] = {"audit": audit}
        if kind == "otlp_http":
            block["compression"] = self.compressions[0]
        return _filled(block)


def _filled(tree: Tree) -> dict[str, Any]:
    """Leave out what is empty."""
    pairs = ((k, _filled(v) if isinstance(v, Mapping) else v) for k, v in tree.items())
    return {k: v for k, v in pairs if v not in ("", [], {}, ())}


def with_defaults(block: Tree, defaults: Tree) -> dict[str, Any]:
    """Put *defaults* under a block."""
    merged = dict(block)
    for name, default in defaults.items():
        own = block.get(name)
        if own is None:
            merged[name] = default
        elif isinstance(default, Mapping) and isinstance(own, Mapping):
            merged[name] = with_defaults(own, default)
    return merged


def _rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
    tree = packaged_yaml(__package__, "vendors.yaml")
    for group in ("self_hosted", "services"):
        yield from tree[group].items()


def _vendor(name: str, row: Mapping[str, Any]) -> Vendor:
    """Read a row; a list of quirks may stand within another one."""
    quirks = ([one] if isinstance(one, str) else one for one in row.get("quirks", ()))
    own = {"name": name, "quirks": [quirk for part in quirks for quirk in part]}
    return convert({**row, **own}, Vendor)


VENDORS: Final[Mapping[str, Vendor]] = {name: _vendor(name, row) for name, row in _rows()}


@dataclass(frozen=True, slots=True)
class Route:
    """One way through a Collector."""

    name: str
    title: str
    why: str
    exporter_id: str
    exporter: Tree
    sources: Mapping[str, str]
    read: str
    audit: Tree = field(default_factory=dict)  # of the agent's exporter, beside the preset
    quirks: tuple[str, ...] = ()
    extensions: Tree = field(default_factory=dict)

    def agent(self) -> dict[str, Any]:
        """Return the agent's exporter: to a Collector, within the limits of what is behind it."""
        audit = {"vendor": "otel-collector", **self.audit}
        exporter = {"endpoint": "http://localhost:4318", "audit": audit}
        return {"exporters": {"otlp_http/collector": exporter}}

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
    name: convert({**row, "name": name}, Route)
    for name, row in packaged_yaml(__package__, "routes.yaml").items()
}
