"""A preset fills in what an exporter leaves open, and says what its vendor will not take."""

import re
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.config.durations import parse_size
from k8s_audit_otlp.config.exporters import OtlpHttp
from k8s_audit_otlp.config.load import Loaded, load_text, load_tree
from k8s_audit_otlp.config.mistakes import ConfigError, Kind
from k8s_audit_otlp.config.output.summary import honoured
from k8s_audit_otlp.config.vendors.preset import ROUTES, VENDORS, Route
from k8s_audit_otlp.config.vendors.show import block_of, route_text, vendor_text
from tests.kit.pages import filled

# what a configuration of this project must have a preset or a way for
PRESETS = """guance otel-collector loki grafana-cloud datadog newrelic honeycomb dynatrace elastic
axiom betterstack signoz openobserve victorialogs clickstack coralogix sumologic
opensearch-data-prepper"""
REFERENCES = re.compile(r"\$\{env:(\w+)\}")
ENV = {
    name: "sesame"
    for vendor in VENDORS.values()
    for header in vendor.headers
    for name in REFERENCES.findall(header.value)
}
ENV["SUMO_OTLP_SOURCE_URL"] = "https://collectors.sumologic.com/receiver/v1/otlp/" + "sesame" * 14


def _load(exporter: dict[str, Any], kind: str = "otlp_http", **receiver: Any) -> Loaded:
    tree = {
        "receivers": {"k8s_audit": {"include": "/nope", **receiver}},
        "exporters": {kind: exporter},
    }
    return load_tree(tree, "agent.yaml", ENV)


def _exporter(exporter: dict[str, Any], **receiver: Any) -> OtlpHttp:
    (made,) = _load(exporter, **receiver).config.exporters.values()
    assert isinstance(made, OtlpHttp)
    return made


def _mistakes(exporter: dict[str, Any], kind: str = "otlp_http") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(exporter, kind)
    return [str(mistake) for mistake in caught.value.mistakes]


DATADOG = {"endpoint": "https://otlp.datadoghq.eu", "headers": {"dd-api-key": "sesame"}}


def test_every_vendor_has_a_preset() -> None:
    """The eighteen that take OTLP, and the four behind a Collector."""
    assert set(VENDORS) == set(PRESETS.split())
    assert set(ROUTES) == {"splunk", "azure-monitor", "google-cloud", "aws-cloudwatch"}


@pytest.mark.parametrize("name", VENDORS)
def test_every_row_says_where_it_was_read(name: str) -> None:
    """An endpoint and each group of limits has a source."""
    vendor = VENDORS[name]
    assert vendor.name == name
    assert "endpoint" in vendor.sources
    assert re.search(r"20\d\d-\d\d", vendor.read), "when was it read?"
    numbers = {key for key in vendor.limits if key.startswith("max_")} | {*vendor.max_record_bytes}
    assert not numbers or "limits" in vendor.sources or name == "betterstack"
    assert all(vendor.sources.values())


@pytest.mark.parametrize("grpc", [False, True])
@pytest.mark.parametrize("name", VENDORS)
def test_the_block_of_every_vendor_loads(name: str, *, grpc: bool) -> None:
    """What `vendors show` prints is a configuration without mistakes or remarks of its own."""
    vendor = VENDORS[name]
    if grpc and not vendor.grpc:
        pytest.skip("takes no gRPC")
    loaded = load_text(filled(vendor_text(vendor, grpc=grpc)), "agent.yaml", ENV)
    (exporter,) = loaded.config.exporters.values()
    assert exporter.audit.vendor == name
    assert {remark.kind for remark in loaded.remarks} == {Kind.MISSING}  # the log itself
    assert "sesame" not in f"{exporter!r}"


@pytest.mark.parametrize("name", VENDORS)
def test_a_preset_is_no_more_than_its_keys(name: str) -> None:
    """The defaults written out, without the vendor, make the same exporter."""
    vendor = VENDORS[name]
    tree = filled(block_of(vendor))
    ((kind, block),) = tree["exporters"].items()
    (by_vendor,) = load_tree(tree, "agent.yaml", ENV).config.exporters.values()
    spelled = vendor.defaults("otlp_http")
    spelled["audit"] = {**spelled["audit"], "vendor": None}
    plain = {**tree, "exporters": {kind: {**block, **spelled}}}
    (by_keys,) = load_tree(plain, "agent.yaml", ENV).config.exporters.values()
    named = by_keys.audit.model_copy(update={"vendor": name})
    assert by_keys.model_copy(update={"audit": named}) == by_vendor


def test_a_preset_gives_form_limits_and_start() -> None:
    """The rest of the program sees plain values."""
    exporter = _exporter({**DATADOG, "audit": {"vendor": "datadog"}})
    assert exporter.audit.profile == "semconv"
    assert exporter.audit.max_record_bytes == 900_000
    assert exporter.audit.start_at is not None
    assert exporter.audit.start_at.age_s == 18 * 3600
    limits = exporter.limits
    assert limits.request_count(5000) == limits.request_count(0) == 1000
    assert limits.request_size(900_000) == 900_000
    assert limits.oldest_ns(10**18) == 10**18 - 18 * 3600 * 10**9
    assert "status" in limits.attributes.reserved


# Their answer says which records are too old, and how old one may be is a setting there.
TOLD = {"loki", "grafana-cloud", "openobserve"}


@pytest.mark.parametrize("name", [v.name for v in VENDORS.values() if v.max_age])
def test_what_a_vendor_drops_for_its_age_in_silence_goes_to_the_dead_letter(name: str) -> None:
    """Else it would count as delivered, and be nowhere."""
    vendor = VENDORS[name]
    tree = filled(block_of(vendor))
    (made,) = load_tree(tree, "agent.yaml", ENV).config.exporters.values()
    assert made.audit.on_too_old == ("send" if name in TOLD else "dead_letter")


@pytest.mark.parametrize("route", [one for one in ROUTES.values() if "start_at" in one.audit])
def test_what_a_collector_would_drop_for_its_age_goes_to_the_dead_letter(route: Route) -> None:
    """It has answered the agent before the back end refuses, whole requests of it even."""
    (exporter,) = route.agent()["exporters"].values()
    made = _exporter(exporter)
    assert made.audit.on_too_old == "dead_letter"
    assert made.limits.max_age_s
    assert made.limits.max_ahead_s


def test_an_exporters_own_keys_win() -> None:
    """One by one, also inside of blocks."""
    audit = {
        "vendor": "datadog",
        "profile": "plain",
        "start_at": "beginning",
        "limits": {"max_age": "20h", "reserved_names": []},
    }
    exporter = _exporter({**DATADOG, "compression": "none", "audit": audit})
    assert exporter.audit.profile == "plain"
    assert exporter.compression == "none"
    assert exporter.audit.start_at is not None
    assert exporter.audit.start_at.kind == "beginning"
    assert exporter.limits.max_age_s == 20 * 3600
    assert exporter.limits.attributes.reserved == frozenset()
    assert exporter.limits.request_records == 1000


def test_a_key_without_a_value_takes_the_presets() -> None:
    """As a key without a value is its default everywhere."""
    exporter = _exporter({**DATADOG, "audit": {"vendor": "datadog", "profile": None}})
    assert exporter.audit.profile == "semconv"


def test_only_what_the_file_says_counts_as_written() -> None:
    """`validate` lists the keys of the file, not those of the preset."""
    exporter = _exporter({**DATADOG, "audit": {"vendor": "datadog", "notices": "own"}})
    written = {"endpoint", "headers", "audit::vendor", "audit::notices"}
    assert set(honoured(exporter)) == written


def test_a_receivers_later_start_is_left_to_it() -> None:
    """A preset's age window does not make an exporter go back before the receiver's start."""
    audit = {"vendor": "datadog"}
    assert _exporter({**DATADOG, "audit": audit}, start_at="end").audit.start_at is None


def test_guance_gets_flat_names_and_lists_as_text() -> None:
    """And bodies that DataKit does not split."""
    block = {"endpoint": "http://dk:9529/otel", "audit": {"vendor": "guance"}}
    exporter = _exporter(block)
    assert exporter.url.resolve() == "http://dk:9529/otel/v1/logs"
    assert exporter.audit.max_record_bytes == 450 * 1024
    assert exporter.limits.attributes.flat_names
    assert exporter.limits.attributes.lists_as_json


@pytest.mark.parametrize(
    ("key", "block"),
    [("vendor", "audit"), ("max_elapsed_time", "retry_on_failure"), ("ca_file", "tls")],
)
def test_a_key_of_a_block_that_stands_beside_it_is_told_its_place(key: str, block: str) -> None:
    (one,) = _mistakes({"endpoint": "http://a:1", key: "loki"})
    assert one.endswith(f"unknown key; it belongs to {block}: write {block}: {{{key}: ...}}")


def test_an_unknown_vendor_is_a_mistake_with_the_nearest_one() -> None:
    """And one behind a Collector says so."""
    (one,) = _mistakes({"endpoint": "http://a:1", "audit": {"vendor": "datdog"}})
    assert "there is no preset datdog; did you mean datadog?" in one
    (one,) = _mistakes({"endpoint": "http://a:1", "audit": {"vendor": "splunk"}})
    assert one.endswith("see k8s-audit-otlp vendors show splunk")


@pytest.mark.parametrize("name", ["guance", "loki", "dynatrace", "openobserve", "victorialogs"])
def test_a_path_that_the_vendor_does_not_have_is_a_mistake(name: str) -> None:
    """It would be answered with 404 for ever; a whole URL is taken as it is."""
    block = {"endpoint": "http://host:1", "audit": {"vendor": name}}
    (one,) = _mistakes(block)
    assert f"write one such as {VENDORS[name].endpoint}" in one
    whole = {"logs_endpoint": "http://proxy/anything", "audit": {"vendor": name}}
    assert _exporter(whole).url.resolve() == "http://proxy/anything"


def test_grpc_to_a_vendor_without_it_is_a_mistake() -> None:
    """The hint is the HTTP endpoint."""
    (one,) = _mistakes({"endpoint": "loki:3100", "audit": {"vendor": "loki"}}, "otlp_grpc")
    assert "Grafana Loki takes no gRPC; write an otlp_http exporter" in one


def test_what_is_merely_unusual_is_a_remark() -> None:
    """No key, or a compression that the vendor is not known to read."""
    block = {**DATADOG, "headers": {}, "compression": "zstd", "audit": {"vendor": "datadog"}}
    remarks = [str(one) for one in _load(block).remarks if one.kind is Kind.UNUSUAL]
    assert remarks == [
        "exporters::otlp_http::compression: unusual: Datadog is not known to read zstd",
        "exporters::otlp_http::headers: unusual: Datadog wants the header dd-api-key",
    ]


def test_an_authenticator_stands_for_the_authorization_header() -> None:
    """Who vouches by an extension needs no header."""
    tree = {
        "receivers": {"k8s_audit": {"include": "/nope"}},
        "exporters": {
            "otlp_http": {
                "endpoint": "https://otlp-gateway-eu.grafana.net/otlp",
                "auth": {"authenticator": "basicauth"},
                "audit": {"vendor": "grafana-cloud"},
            }
        },
        "extensions": {"basicauth": {"client_auth": {"username": "1", "password": "sesame"}}},
    }
    remarks = load_tree(tree, "agent.yaml", {}).remarks
    assert Kind.UNUSUAL not in {one.kind for one in remarks}


def test_a_tag_that_hides_an_attribute_is_said() -> None:
    """In DataKit the resource wins over the record."""
    block = {"endpoint": "http://dk:9529/otel", "audit": {"vendor": "guance"}}
    remarks = [
        one.where
        for one in _load(block, attributes={"namespace": "x", "atype": "y"}).remarks
        if one.kind is Kind.UNUSUAL
    ]
    assert remarks == ["receivers::k8s_audit::attributes::namespace"]


@pytest.mark.parametrize("name", ROUTES)
def test_the_way_through_a_collector_is_one_document(name: str) -> None:
    """It keeps on disk what it has acknowledged, and is said to be untested."""
    text = route_text(ROUTES[name])
    tree = yaml.safe_load(text)
    (exporter_id,) = tree["service"]["pipelines"]["logs"]["exporters"]
    assert tree["exporters"][exporter_id]["sending_queue"]["storage"] == "file_storage"
    assert set(tree["service"]["extensions"]) == set(tree["extensions"])
    assert "NOT TESTED" in text


@pytest.mark.parametrize("name", ROUTES)
def test_what_goes_through_a_collector_keeps_the_limits_behind_it(name: str) -> None:
    """The agent's exporter loads as it is printed, and each limit says where it was read."""
    route = ROUTES[name]
    (exporter,) = route.agent()["exporters"].values()
    made = _exporter(exporter).audit
    size = route.audit.get("max_record_bytes")
    assert made.max_record_bytes == (parse_size(size) if size else None)
    assert re.search(r"20\d\d-\d\d", route.read), "when was it read?"
    assert bool(route.audit) == ("limits" in route.sources)
    for quirk in route.quirks:
        assert quirk[:40] in route_text(route)
