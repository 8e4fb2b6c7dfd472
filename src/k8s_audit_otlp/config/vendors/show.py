"""Shows a vendor as a ready block of configuration, with what there is to know about it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from textwrap import wrap
from typing import Any

import yaml

from k8s_audit_otlp.config.vendors.preset import Route, Vendor

LOG = "/var/log/kubernetes/audit.log"


def block_of(vendor: Vendor, *, grpc: bool = False) -> dict[str, Any]:
    """Return a configuration; `<...>` in it is for the user to fill in."""
    kind = "otlp_grpc" if grpc else "otlp_http"
    exporter: dict[str, Any] = {"endpoint": vendor.grpc if grpc else vendor.endpoint}
    if grpc and vendor.endpoint.startswith("http://"):
        exporter["tls"] = {"insecure": True}
    if vendor.headers:
        lower = str.lower if grpc else str
        exporter["headers"] = {lower(header.name): header.value for header in vendor.headers}
    exporter["audit"] = {"vendor": vendor.name}
    return {
        "receivers": {"k8s_audit": {"include": [LOG], **vendor.receiver}},
        "exporters": {f"{kind}/{vendor.name}": exporter},
    }


def vendor_text(vendor: Vendor, *, grpc: bool = False) -> str:
    """Return the block as YAML, with comments about the preset."""
    kind = "otlp_grpc" if grpc else "otlp_http"
    lines = [f"# {vendor.title}", "", *_yaml(block_of(vendor, grpc=grpc))]
    lines += ["", "# The preset stands for these keys of the exporter; those written above win:"]
    lines += [f"#   {line}" for line in _yaml(vendor.defaults(kind))]
    lines += ["#", f"# Success: {vendor.success}."]
    return "\n".join([*lines, *_known(vendor)]) + "\n"


def _known(row: Vendor | Route) -> Iterator[str]:
    """Write what there is to know, and where it was read, as comments."""
    if row.quirks:
        yield "# Good to know:"
        yield from _wrapped(f"{quirk}." for quirk in row.quirks)
    yield f"# Read in ({row.read}):"
    yield from _wrapped(f"{what}: {where}" for what, where in row.sources.items())


def route_text(route: Route) -> str:
    """Return the Collector's configuration, and the agent's block that belongs to it."""
    lines = [
        f"# {route.title}: {route.why}.",
        "# It is reached through a Collector that runs beside the agent.",
        "# NOT TESTED: its components are those of opentelemetry-collector-contrib.",
        *_known(route),
        "#",
        "# The agent's exporter:",
        *(f"#   {line}" for line in _yaml(route.agent())),
        "#",
        "# The Collector:",
        *_yaml(route.collector()),
    ]
    return "\n".join(lines) + "\n"


def as_json(row: Vendor | Route) -> dict[str, Any]:
    """Return a row with everything that it says, and what it comes to."""
    if isinstance(row, Route):
        return {**asdict(row), "tested": False, "agent": row.agent(), "collector": row.collector()}
    kinds = ["otlp_http", *(["otlp_grpc"] if row.grpc else [])]
    return {
        **asdict(row),
        "defaults": {kind: row.defaults(kind) for kind in kinds},
        "configuration": block_of(row),
    }


def _wrapped(texts: Iterable[str]) -> Iterator[str]:
    """Write comments that fit a terminal; names and addresses stay whole."""
    for text in texts:
        first, *more = wrap(text, 74, break_long_words=False, break_on_hyphens=False)
        yield f"#   {first}"
        yield from (f"#     {line}" for line in more)


def _yaml(tree: Mapping[str, Any]) -> Iterator[str]:
    text = yaml.safe_dump(tree, sort_keys=False, width=96, allow_unicode=True)
    yield from text.splitlines()
