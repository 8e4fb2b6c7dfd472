"""An audit event out of the columns of Azure's table AKSAudit, as exports of it write them. Pure.

The table holds the members under other names and no event as it was written: each says so.

Source: learn.microsoft.com/azure/azure-monitor/reference/tables/aksaudit.
"""

import msgspec

from k8s_audit_otlp.event.gke import TRANSLATED

_NAMES = {
    "Level": "level",
    "AuditId": "auditID",
    "Stage": "stage",
    "RequestUri": "requestURI",
    "Verb": "verb",
    "User": "user",
    "ImpersonatedUser": "impersonatedUser",
    "SourceIps": "sourceIPs",
    "UserAgent": "userAgent",
    "ObjectRef": "objectRef",
    "ResponseStatus": "responseStatus",
    "RequestObject": "requestObject",
    "ResponseObject": "responseObject",
    "RequestReceivedTime": "requestReceivedTimestamp",
    "StageReceivedTime": "stageTimestamp",
    "Annotations": "annotations",
}
_DYNAMIC = {"User", "ImpersonatedUser", "SourceIps", "ObjectRef", "ResponseStatus"} | {
    "RequestObject", "ResponseObject", "Annotations"
}  # fmt: skip
_row = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any = msgspec.json.Decoder(msgspec.Raw).decode
_text = msgspec.json.Decoder(str).decode


def event_of_columns(row: bytes) -> bytes:
    """Return a row of the table as the JSON of an audit event.

    Raise msgspec.MsgspecError where it is no such row.
    """
    columns = _row(row)
    event = {"kind": msgspec.Raw(b'"Event"'), "apiVersion": msgspec.Raw(b'"audit.k8s.io/v1"')}
    for column, name in _NAMES.items():
        value = columns.get(column, msgspec.Raw(b'""'))
        value = _parsed(value) if column in _DYNAMIC else value
        if bytes(value) not in (b'""', b"null"):
            event[name] = value
    notes = _row(event.get("annotations", b"{}"))
    event["annotations"] = msgspec.Raw(
        msgspec.json.encode({**notes, TRANSLATED: msgspec.Raw(b'"AKSAudit"')})
    )
    return msgspec.json.encode(event)


def _parsed(value: msgspec.Raw) -> msgspec.Raw:
    """Return what a dynamic column holds: some exports write it as a text."""
    text = _text(value) if bytes(value).startswith(b'"') else ""
    return _any(text) if text.startswith(("{", "[")) else value
