"""Reads an event's responseStatus as kube-apiserver writes it, for the texts in it.

    '{"metadata":{},"status":"Failure","message":"...","code":404}' -> ["Failure", "...", ...]

Most are seen once: each refusal names another object. What is not written in just this way is read
by its pieces, as any other member.
"""

import msgspec


class _Nothing(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An object without members."""


class _Details(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""


class _Status(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """Of `metav1.Status`, in its order."""

    metadata: _Nothing
    status: str = ""
    message: str = ""
    reason: str = ""
    details: _Details | None = None
    code: int = 0


_decode = msgspec.json.Decoder(_Status).decode
_encode = msgspec.json.Encoder().encode


def texts_of_status(json: bytes) -> list[str] | None:
    """Return the texts of a responseStatus, None where something may be beside them."""
    try:
        status = _decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if _encode(status) != json:  # a member that is there twice, an escape, a blank
        return None
    named = status.details or _Details()
    return [
        *(status.status, status.message, status.reason),
        *(named.name, named.group, named.kind, named.uid),
    ]
