"""Google's audit log of a GKE cluster, translated into audit events. Pure.

It is a translation, and each event says so: Google keeps no stage, level, groups or request URI of
the apiserver, and its status is one of gRPC. Request and response are taken where they are there.

Source: cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog.
"""

from typing import Any

import msgspec

TRANSLATED = "k8s-audit-otlp/translated-from"
# gRPC status -> HTTP, as google.rpc.code says
_HTTP = {0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409,
         11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401}  # fmt: skip


class _AuthenticationInfo(msgspec.Struct):
    principalEmail: str = ""  # noqa: N815 - Google's own names, here and below


class _RequestMetadata(msgspec.Struct):
    callerIp: str = ""  # noqa: N815
    callerSuppliedUserAgent: str = ""  # noqa: N815


class _RpcStatus(msgspec.Struct):
    code: int = 0
    message: str = ""


class _AuditLog(msgspec.Struct):
    methodName: str = ""  # noqa: N815
    resourceName: str = ""  # noqa: N815
    authenticationInfo: _AuthenticationInfo = msgspec.field(default_factory=_AuthenticationInfo)  # noqa: N815
    requestMetadata: _RequestMetadata = msgspec.field(default_factory=_RequestMetadata)  # noqa: N815
    status: _RpcStatus = msgspec.field(default_factory=_RpcStatus)
    request: msgspec.Raw = msgspec.Raw(b"")
    response: msgspec.Raw = msgspec.Raw(b"")


class _LogEntry(msgspec.Struct):
    protoPayload: _AuditLog  # noqa: N815
    insertId: str = ""  # noqa: N815
    timestamp: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)


_entry = msgspec.json.Decoder(_LogEntry).decode


def event_of_proto_payload(entry: bytes) -> bytes:
    """Return a LogEntry of Cloud Logging as the JSON of an audit event.

    Raise msgspec.MsgspecError where it is no such entry.
    """
    found = _entry(entry)
    payload = found.protoPayload
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request" if payload.request else "Metadata",
        "auditID": found.insertId,
        "stage": "ResponseComplete",
        "requestURI": f"/{payload.resourceName}" if payload.resourceName else "",
        "verb": payload.methodName.rpartition(".")[2],
        "user": {"username": payload.authenticationInfo.principalEmail},
        "sourceIPs": [ip] if (ip := payload.requestMetadata.callerIp) else [],
        "userAgent": payload.requestMetadata.callerSuppliedUserAgent,
        "objectRef": _object_ref(payload.resourceName),
        "responseStatus": {
            "code": _HTTP.get(payload.status.code, 500),
            "message": payload.status.message,
        },
        "requestReceivedTimestamp": found.timestamp,
        "stageTimestamp": found.timestamp,
        "annotations": {**found.labels, TRANSLATED: "protoPayload"},
    }
    bodies = {"requestObject": payload.request, "responseObject": payload.response}
    event.update({name: body for name, body in bodies.items() if body})
    return msgspec.json.encode(event)


def _object_ref(name: str) -> dict[str, str]:
    """Read `core/v1/namespaces/NS/pods/NAME/SUBRESOURCE`."""
    group, _, rest = name.partition("/")
    version, _, rest = rest.partition("/")
    parts = rest.split("/") if rest else []
    reference = {"apiGroup": "" if group == "core" else group, "apiVersion": version}
    if len(parts) > 2 and parts[0] == "namespaces":
        reference["namespace"] = parts[1]
        parts = parts[2:]
    reference |= dict(zip(("resource", "name", "subresource"), parts, strict=False))
    return {key: value for key, value in reference.items() if value}
