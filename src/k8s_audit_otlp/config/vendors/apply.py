"""Fills a block with the preset of its `audit::vendor`, and tells what looks wrong.

No I/O. What can never work with that vendor is a mistake; what is merely unusual is a remark.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel

from k8s_audit_otlp.config.config import Config, ConfigFindings
from k8s_audit_otlp.config.exporters import Exporter, OtlpGrpc, OtlpHttp
from k8s_audit_otlp.config.mistakes import Kind
from k8s_audit_otlp.config.reading.document import Path
from k8s_audit_otlp.config.types import known_value
from k8s_audit_otlp.config.vendors.preset import VENDORS, Vendor, with_defaults
from k8s_audit_otlp.otlp.mapping import TABLE

PLAIN_NAMES = frozenset(row.key for row in TABLE if row.profile == "plain")

_NAMING = re.compile(r"[a-z0-9]+:(?!//|\d+(?:/|$))", re.IGNORECASE)  # dns:, ipv4:, unix:, ...
_PORTS = {"otlp_grpc": 4317, "otlp_http": 4318}


def _vendor_of(block: Any) -> Vendor | None:
    """Return the preset that a block names; what is no preset is the model's to refuse."""
    audit = block.get("audit") if isinstance(block, Mapping) else None
    name = audit.get("vendor") if isinstance(audit, Mapping) else None
    return VENDORS.get(str(name))


def preset(kind: str, block: Mapping[str, Any], *, from_beginning: bool) -> Mapping[str, Any]:
    """Return *block* with its vendor's defaults.

    A receiver that starts later than at the beginning is left to: its `start_at` was meant.
    """
    vendor = _vendor_of(block)
    if vendor is None:
        return block
    defaults = vendor.defaults(kind)
    if not from_beginning:
        defaults["audit"].pop("start_at", None)
    return with_defaults(block, defaults)


def forget_unwritten(made: BaseModel, block: Mapping[str, Any]) -> None:
    """Let what a preset has put under *block* count as defaults, not as written in the file."""
    for name, field in type(made).model_fields.items():
        inner, written = getattr(made, name), block.get(field.alias or name)
        if written is None and not isinstance(inner, BaseModel):
            made.model_fields_set.discard(name)
        elif isinstance(inner, BaseModel):
            forget_unwritten(inner, written if isinstance(written, Mapping) else {})


def check_vendor(exporter: Exporter, path: Path, found: ConfigFindings) -> None:
    """Say what the vendor of *exporter* will not understand."""
    if isinstance(exporter, OtlpHttp | OtlpGrpc):
        _check_port(exporter, path, found)
    vendor = VENDORS.get(exporter.audit.vendor or "")
    if vendor is None:
        if isinstance(exporter, OtlpHttp | OtlpGrpc):
            _suggest_preset(exporter, path, found)
        return
    if isinstance(exporter, OtlpGrpc) and not vendor.grpc:
        hint = f"write an otlp_http exporter with endpoint: {vendor.endpoint}"
        found.mistake(path, f"{vendor.title} takes no gRPC", hint)
        return
    if isinstance(exporter, OtlpHttp):
        _check_path(exporter, vendor, path, found)
        if exporter.compression not in vendor.compressions:
            why = f"{vendor.title} is not known to read {exporter.compression}"
            found.remark((*path, "compression"), Kind.UNUSUAL, why)
    if isinstance(exporter, OtlpHttp | OtlpGrpc):
        for name in _missing_headers(exporter, vendor):
            why = f"{vendor.title} wants the header {name}"
            found.remark((*path, "headers"), Kind.UNUSUAL, why)


def _address_of(exporter: OtlpHttp | OtlpGrpc) -> SplitResult:
    """Return where *exporter* sends, as far as it is known now."""
    target = exporter.url if isinstance(exporter, OtlpHttp) else exporter.endpoint
    text = known_value(target) or ""
    if _NAMING.match(text):
        text = ""  # one or more addresses in a form of gRPC's own
    return urlsplit(text if "//" in text else f"//{text}")


def _endpoint_key(exporter: OtlpHttp | OtlpGrpc) -> str:
    full = isinstance(exporter, OtlpHttp) and exporter.logs_endpoint is not None
    return "logs_endpoint" if full else "endpoint"


def _suggest_preset(exporter: OtlpHttp | OtlpGrpc, path: Path, found: ConfigFindings) -> None:
    """Name the preset of a host that is one vendor's alone, or is called like one."""
    if vendor := vendor_at(exporter):
        preset = f"audit: {{vendor: {vendor.name}}}"
        why = f"{vendor.title} seems to be there; {preset} knows its limits"
        found.remark((*path, _endpoint_key(exporter)), Kind.LOOK, why)


def vendor_at(exporter: OtlpHttp | OtlpGrpc) -> Vendor | None:
    """Return the vendor whose host an exporter sends to, as far as its name tells."""
    host = (_address_of(exporter).hostname or "").lower()
    fitting = (v for v in VENDORS.values() if v.hosts and re.fullmatch(v.hosts, host))
    return next(fitting, None)


def _check_port(exporter: OtlpHttp | OtlpGrpc, path: Path, found: ConfigFindings) -> None:
    """Say where the port is that of the other protocol (IANA: 4317 is gRPC, 4318 HTTP)."""
    spoken, other = (
        ("otlp_http", "otlp_grpc") if isinstance(exporter, OtlpHttp) else ("otlp_grpc", "otlp_http")
    )
    port = _address_of(exporter).port
    if port == _PORTS[other]:
        why = f"{port} is where {other} is taken by default; for {spoken} it is {_PORTS[spoken]}"
        found.remark((*path, _endpoint_key(exporter)), Kind.LOOK, why)


def _check_path(exporter: OtlpHttp, vendor: Vendor, path: Path, found: ConfigFindings) -> None:
    """Compare the path of the URL; logs_endpoint is used as it is written."""
    url = known_value(exporter.url)
    if not vendor.path or exporter.logs_endpoint is not None or url is None:
        return
    if not re.search(f"{vendor.path}$", urlsplit(url).path):
        what = f"{vendor.title} does not take logs at that path"
        hint = f"write one such as {vendor.endpoint}, or the whole URL as logs_endpoint"
        found.mistake((*path, "endpoint"), what, hint)


def _missing_headers(exporter: OtlpHttp | OtlpGrpc, vendor: Vendor) -> Iterator[str]:
    written = {name.lower() for name in exporter.headers}
    if exporter.auth is not None:
        written.add("authorization")
    for header in vendor.headers:
        if header.required and header.name.lower() not in written:
            yield header.name


def check_resources(config: Config, found: ConfigFindings) -> None:
    """Say which resource attributes would hide a record's of the same name."""
    for receiver_id, exporter_id in config.routes():
        vendor = VENDORS.get(config.exporters[exporter_id].audit.vendor or "")
        if vendor is None or not vendor.resource_wins:
            continue
        receiver = config.receivers[receiver_id]
        for section in ("resource", "attributes"):
            for name in sorted(PLAIN_NAMES.intersection(getattr(receiver, section))):
                place = (*found.path_of("receivers", receiver_id), section, name)
                why = f"in {vendor.title} it hides the {name} of every event"
                found.remark(place, Kind.UNUSUAL, why)
