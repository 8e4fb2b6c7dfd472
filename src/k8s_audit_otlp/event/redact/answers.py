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


class _Answer(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """Of `metav1.Status`, in its order."""

    metadata: _Nothing
    status: str = ""
    message: str = ""
    reason: str = ""
    details: _Details | None = None
    code: int = 0


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


def texts_of_answer(json: bytes) -> list[str] | None:
    """Return the texts of a responseStatus, None where something may be beside them."""
    try:
        answer = _decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if _encode(answer) != json:  # a member that is there twice, an escape, a blank
        return None
    named = answer.details or _Details()
    return [
        *(answer.status, answer.message, answer.reason),
        *(named.name, named.group, named.kind, named.uid),
    ]
