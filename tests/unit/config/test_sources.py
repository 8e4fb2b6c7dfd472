"""A source becomes one file receiver for each cluster; everything behind it knows files only."""

import re
from pathlib import Path

import pytest

from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.output.summary import summary
from k8s_audit_otlp.config.sources import Kafka
from k8s_audit_otlp.event.formats import FORMATS

EXPORTERS = "exporters: {otlp_file: {path: '-'}, otlp_file/b: {path: /b, audit: {receivers: [%s]}}}"
TLS = "tls: {cert_file: /c, key_file: /k}"


def loaded(receivers: str, chosen: str = "k8s_audit_webhook", more: str = "") -> Config:
    text = f"receivers:\n{receivers}\n{EXPORTERS % chosen}\n{more}"
    return load_text(text, "test", {}).config


def test_a_webhook_is_read_from_its_spool() -> None:
    """The spool lies under the state directory; what else the block says is kept."""
    config = loaded(
        "  k8s_audit_webhook/x[*]: {resource: {a: b}, silence_after: 5s}",
        "'k8s_audit_webhook/x[*]'",
        "service: {state_dir: /s}",
    )
    (receiver,) = config.receivers.values()
    assert receiver.include == ("/s/spool/k8s_audit_webhook%2Fx%5B%2A%5D/all/audit.log",)
    assert receiver.resource == {"a": "b"}
    assert receiver.silence_after_s == 5
    assert config.receivers_of("otlp_file/b") == ("k8s_audit_webhook/x[*]",)


def test_each_cluster_is_a_receiver_of_its_own() -> None:
    """An exporter that takes the source takes all of them, and its cluster is in the resource."""
    config = loaded(
        "  k8s_audit: {include: /a}\n"
        "  k8s_audit_webhook: {clusters: {eu: {}, us: {resource: {k8s.cluster.name: US}}}}"
    )
    names = {id_: one.resource.get("k8s.cluster.name") for id_, one in config.receivers.items()}
    assert names == {
        "k8s_audit": None,
        "k8s_audit_webhook[eu]": "eu",
        "k8s_audit_webhook[us]": "US",
    }
    assert config.receivers_of("otlp_file") == tuple(names)
    assert config.receivers_of("otlp_file/b") == tuple(names)[1:]


def test_pipelines_name_the_source() -> None:
    """What the file says is `k8s_audit_webhook`, whatever becomes of it."""
    pipelines = "service: {pipelines: {logs: {receivers: [k8s_audit_webhook], exporters: [%s]}}}"
    receivers = "  k8s_audit: {include: /a}\n  k8s_audit_webhook: {clusters: {eu: {}}}"
    config = loaded(receivers, more=pipelines % "otlp_file")
    assert config.receivers_of("otlp_file") == ("k8s_audit_webhook[eu]",)
    assert config.receivers_of("otlp_file/b") == ()


PAGE = Path(__file__).parents[3] / "otel-config" / "sources.md"


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_every_block_of_the_page_loads(block: str) -> None:
    """And every format has its line there."""
    load_text(block, "sources.md", {"EVENT_HUBS": "made-up"})
    assert all(f"| `{name}` |" in PAGE.read_text() for name in FORMATS)


def test_a_kafka_block_becomes_settings_of_the_client() -> None:
    """As Event Hubs wants them; the password is in no text of the configuration."""
    config = loaded(
        "  kafka: {brokers: b:9093, topics: t, tls: {ca_file: /ca}, auth: {sasl: "
        "{username: $$ConnectionString, password: hidden}}}",
        "kafka",
    )
    source = config.sources["kafka"]
    assert isinstance(source, Kafka)
    assert source.settings() == {
        "bootstrap.servers": "b:9093",
        "group.id": "k8s-audit-otlp",
        "client.id": "k8s-audit-otlp",
        "auto.offset.reset": "earliest",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "$ConnectionString",
        "sasl.password": "hidden",
        "log.connection.close": False,
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 3_000,
        "ssl.ca.location": "/ca",
        "enable.ssl.certificate.verification": True,
    }
    assert "hidden" not in repr(config)


BEARER = """extensions:
  bearertokenauth: {token: x}
  basicauth: {client_auth: {username: a, password: b}}
"""


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            "endpoint: 9443",
            (
                "endpoint: '9443' is no host:port with a port up to 65535; "
                "write one such as 127.0.0.1:9464"
            ),
        ),
        ("tls: {cert_file: /c}", "tls::key_file: is missing"),
        ("client_names: [a]", "client_names is set and nobody has to show a certificate"),
        (f"{TLS}, clusters: {{a: {{client_names: b}}}}", "add tls::client_ca_file"),
        ("clusters: {a/b: {}}", "'a/b' does not fit a path"),
        ("clusters: {'..': {}}", "'..' does not fit a path"),
        ("spool: {max_bytes: 100MiB}", "max_bytes holds fewer than 4 segments"),
        ("auth: {authenticator: oidc}", "oidc is not defined"),
        ("auth: {authenticator: basicauth}", "a server can only check a bearer token"),
        ("cors: {allowed_origins: [a]}", "no browser sends audit events"),
        ("include: /a", "unknown key"),
    ],
)
def test_a_mistake_is_told_with_its_hint(block: str, said: str) -> None:
    """Every mistake names its key."""
    with pytest.raises(ConfigError) as told:
        loaded(f"  k8s_audit_webhook: {{{block}}}", more=BEARER)
    assert said in str(told.value)
    assert "receivers::k8s_audit_webhook" in str(told.value)


KAFKA = "brokers: ['b:9092'], topics: [audit]"
GROUP = "log_group: /aws/eks/x/cluster"
CLIENTS = "tls: {cert_file: a, key_file: b, client_ca_file: c}"
TWO = "a: {client_names: [x, y]}, b: {client_names: [y]}"


def at(*endpoints: str) -> str:
    """Return webhooks that listen there."""
    hooks = enumerate(endpoints, 1)
    return ", ".join(f"k8s_audit_webhook/{n}: {{endpoint: '{one}'}}" for n, one in hooks)


@pytest.mark.parametrize(
    ("receivers", "said"),
    [
        (
            at("localhost:9443", "127.0.0.1:9443"),
            "/2::endpoint: k8s_audit_webhook/1 listens at localhost:9443 too",
        ),
        (at("0.0.0.0:9443", "host.example:9443"), "listens at 0.0.0.0:9443 too"),
        (at(":8888"), "endpoint: service::telemetry::metrics listens at localhost:8888 too"),
        (
            f"k8s_audit_webhook: {{{CLIENTS}, clusters: {{{TWO}}}}}",
            "clusters::b::client_names: a has 'y' too",
        ),
        (f"kafka: {{{KAFKA}}}, kafka/b: {{{KAFKA}}}", "each gets a part"),
        (
            f"kafka: {{{KAFKA}}}, kafka/b: {{brokers: ['c:9092', 'b:9092'], topics: ['^aud.*']}}",
            "kafka reads these topics in the group k8s-audit-otlp too",
        ),
        (f"aws_cloudwatch: {{{GROUP}}}, aws_cloudwatch/b: {{{GROUP}}}", "would come twice"),
        (
            f"aws_cloudwatch: {{{GROUP}}}, aws_cloudwatch/b: {{{GROUP}, stream_prefix: kube}}",
            "write another stream_prefix",
        ),
        (
            "k8s_audit: {include: [/state/spool/*/*/audit.log]}",
            "receivers::k8s_audit::include: /state/spool/*/*/audit.log lies where receivers",
        ),
        (
            "k8s_audit: {include: [/log/a.log]}, k8s_audit/b: {include: [/x/../log/a.log]}",
            "kafka gets /x/../log/a.log from k8s_audit too: every event would come twice",
        ),
        (
            "k8s_audit: {include: [/log/*.log]}, k8s_audit/b: {include: [/log/a.log]}",
            "every event would come twice",
        ),
        (f"kafka: {{{KAFKA}}}", "exporters::kafka::topic: kafka reads audit"),
    ],
)
def test_receivers_that_get_into_each_others_way_are_told(receivers: str, said: str) -> None:
    """Before the start: one would fail at it, or take the other's events, or take them twice."""
    with pytest.raises(ConfigError) as told:
        rivals(receivers, writes="kafka: {brokers: ['b:9092'], topic: audit}")
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("receiver", "said"),
    [
        ("kafka: {brokers: ['b:99999'], topics: [audit]}", "'b:99999' is no host:port with a port"),
        ("kafka: {brokers: [':9092'], topics: [audit]}", "':9092' has no host, or port 0"),
        (f"aws_cloudwatch: {{{GROUP}, endpoint_url: 'http://x:99999'}}", "no number up to 65535"),
        (f"aws_cloudwatch: {{{GROUP}, endpoint_url: 'x:80'}}", "'x:80' has no scheme"),
    ],
)
def test_an_address_that_nothing_can_have_is_a_mistake(receiver: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        rivals(receiver, writes="kafka: {brokers: ['b:9092'], topic: out}")
    assert said in str(told.value)


@pytest.mark.parametrize(
    "receivers",
    [
        at("127.0.0.1:9443", "127.0.0.1:9444"),
        at("127.0.0.1:9443", "127.0.0.2:9443"),
        at("0.0.0.0:9443", "[::]:9443"),
        at("127.0.0.1:0", "127.0.0.1:0"),
        f"kafka: {{{KAFKA}, group_id: a}}, kafka/b: {{{KAFKA}, group_id: b}}",
        f"kafka: {{{KAFKA}}}, kafka/b: {{brokers: ['b:9092'], topics: [other]}}",
        f"aws_cloudwatch: {{{GROUP}, region: a}}, aws_cloudwatch/b: {{{GROUP}, region: b}}",
        "k8s_audit: {include: [/state/spool-of-mine/audit.log]}",
    ],
)
def test_receivers_side_by_side_are_no_mistake(receivers: str) -> None:
    rivals(receivers, writes="kafka: {brokers: ['b:9092'], topic: out}")


def rivals(receivers: str, writes: str) -> None:
    load_text(
        f"receivers: {{{receivers}}}\nexporters: {{{writes}}}\n"
        "service: {state_dir: /state, telemetry: {metrics: {address: 'localhost:8888'}}}\n",
        "test",
        {},
    )


@pytest.mark.parametrize("host", ["no host", "a..b", "[::1::2]"])
def test_a_host_that_nobody_can_listen_at_is_refused(host: str) -> None:
    text = (
        f"receivers: {{k8s_audit_webhook: {{endpoint: '{host}:9443'}}}}\n"
        "exporters: {otlp_file: {path: '-'}}\n"
        f"service: {{telemetry: {{metrics: {{address: '{host}:9464'}}}}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_text(text, "test", {})
    places = [one.where for one in caught.value.mistakes if "no name and no address" in one.what]
    assert sorted(places) == [
        "receivers::k8s_audit_webhook::endpoint",
        "service::telemetry::metrics::address",
    ]


@pytest.mark.parametrize("host", ["", "0.0.0.0", "[::]", "[fe80::1%eth0]", "not-yet.example"])  # noqa: S104 - nothing is bound
def test_a_host_that_may_be_known_elsewhere_is_taken(host: str) -> None:
    """A configuration is read on other machines than the one that listens, also without DNS."""
    text = (
        "receivers: {k8s_audit: {include: [/log]}}\nexporters: {otlp_file: {path: '-'}}\n"
        f"service: {{telemetry: {{metrics: {{address: '{host}:9464'}}}}}}\n"
    )
    assert load_text(text, "test", {})


@pytest.mark.parametrize("encoding", ["otlp_proto", "otlp_json", "raw"])
def test_a_collectors_encoding_of_a_topic_is_taken(encoding: str) -> None:
    """Requests of OTLP are told by what a message holds, so the key has nothing to decide."""
    receiver = f"kafka: {{brokers: ['b:9092'], topics: [t], encoding: {encoding}}}"
    text = f"receivers: {{{receiver}}}\nexporters: {{otlp_file: {{path: '-'}}}}\n"
    remarks = load_text(text, "test", {}).remarks
    assert "receivers::kafka::encoding" in [one.where for one in remarks]


def test_the_summary_says_where_events_come_from() -> None:
    """Not only the file of the spool that they are put into."""
    config = loaded(
        f"  k8s_audit_webhook: {{endpoint: '0.0.0.0:9443', {TLS}}}\n"
        "  kafka: {brokers: ['b:9092'], topics: [t]}\n"
        "  aws_cloudwatch: {log_group: /g}"
    )
    said = "\n".join(summary(config))
    assert "POST /audit at 0.0.0.0:9443 over TLS" in said
    assert "t of b:9092 in the clear" in said
    assert "kube-apiserver-audit* of /g" in said
