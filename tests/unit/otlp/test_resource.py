"""Who a record is of: the service, the node, the cluster."""

from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs

from k8s_audit_otlp.otlp.resource import (
    SCHEMA_URL,
    build_resource,
    encode_resource,
    encode_scope,
)


def attributes(
    configured: tuple[()] | dict[str, str] = (),
    environ: tuple[()] | dict[str, str] = (),
    host: str = "h",
) -> dict[str, Any]:
    return dict(build_resource(dict(configured), dict(environ), host_name=host).attributes)


def test_a_log_is_recognised_without_any_configuration() -> None:
    """Service, source, host and instance are always there."""
    assert attributes() == {
        "service.name": "k8s-audit",
        "log.source": "k8s-audit",
        "host.name": "h",
        "service.instance.id": "h",
    }


def test_configuration_wins_over_the_environment_and_that_over_what_is_found() -> None:
    """Each layer overrides the one below."""
    environ = {
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,k8s.node.name=b%20c, x = y ,broken,=z",
        "OTEL_SERVICE_NAME": "d",
        "NODE_NAME": "found",
        "K8S_CLUSTER_NAME": "prod",
    }
    found = attributes(environ=environ)
    assert (found["service.name"], found["k8s.node.name"], found["x"]) == ("d", "b c", "y")
    assert found["k8s.cluster.name"] == "prod"
    assert found["service.instance.id"] == "b c"
    assert "" not in found
    configured = {"service.name": "e", "service.instance.id": "i", "atype": "kube-audit-log"}
    found = attributes(configured, environ)
    assert (found["service.name"], found["service.instance.id"]) == ("e", "i")
    assert found["atype"] == "kube-audit-log"


def test_resource_and_scope_read_back() -> None:
    """The official messages read the fields that go before the records."""
    resource = build_resource({"n": 5, "l": ["a", "b"]}, {}, host_name="h")
    message = ResourceLogs.FromString(encode_resource(resource))
    got = {pair.key: pair.value for pair in message.resource.attributes}
    assert got["n"].int_value == 5
    assert [v.string_value for v in got["l"].array_value.values] == ["a", "b"]
    assert message.schema_url == SCHEMA_URL
    scope = ScopeLogs.FromString(encode_scope("k8s-audit-otlp", "1.2"))
    assert (scope.scope.name, scope.scope.version, scope.schema_url) == (
        "k8s-audit-otlp", "1.2", SCHEMA_URL,
    )  # fmt: skip
