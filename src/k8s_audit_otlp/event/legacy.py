"""Reads a line of `--audit-log-format=legacy` as the event that it tells of.

Source: k8s.io/apiserver pkg/audit/format.go. A text line of Go-quoted values: level, bodies,
status message, annotations and the time of the stage are not in it.
"""

import re
from typing import Any

import msgspec

from k8s_audit_otlp.model import AuditEvent, ObjectRef, Status, UserInfo

# In the order of the format. Those in brackets came later (stage and response with 1.8, groups
# between, user-agent with 1.22), and lines of older apiservers are still lying about.
_MEMBERS = (
    "id", "[stage]", "ip", "method", "user", "[groups]", "as",
    "asgroups", "[user-agent]", "namespace", "uri", "[response]",
)  # fmt: skip


def _member(name: str) -> str:
    bare = name.strip("[]")
    pattern = rf' {bare}="(?P<{bare.replace("-", "_")}>(?:[^"\\]|\\.)*+)"'
    return f"(?:{pattern})?" if bare != name else pattern


_LINE = re.compile(r"(\S+) AUDIT:" + "".join(map(_member, _MEMBERS)))
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# What the format writes where the event has nothing
_NONE = frozenset({"", "<none>", "<self>", "<lookup>", "<deferred>", "<unknown>"})


def unquote(text: str) -> str:
    r"""Undo strconv.Quote; bytes that were not UTF-8 (`\xff`) become U+FFFD."""

    def one(found: re.Match[str]) -> str:
        byte, short, long, sign = found.groups()
        if byte:
            return chr(int(byte, 16)) if byte < "80" else "\ufffd"
        if short or long:
            code = int(short or long, 16)
            return "\ufffd" if 0xD800 <= code < 0xE000 or code > 0x10FFFF else chr(code)
        return _NAMED.get(sign, sign)

    return _ESCAPE.sub(one, text)


def _groups(text: str) -> tuple[str, ...]:
    return () if text in _NONE else tuple(map(unquote, _QUOTED.findall(text)))


def read_legacy(line: bytes) -> AuditEvent | None:
    """Read one line; None if it is not of this format."""
    found = _LINE.fullmatch(line.decode("utf-8", "replace").strip())
    if found is None:
        return None
    values = {key: unquote(value) for key, value in found.groupdict(default="").items()}
    given = {key: "" if value in _NONE else value for key, value in values.items()}
    acting = given["as"] and UserInfo(given["as"], groups=_groups(values["asgroups"]))
    code = given["response"]
    return AuditEvent(
        kind="Event",
        audit_id=values["id"],
        stage=values["stage"],
        request_uri=values["uri"],
        verb=values["method"],
        user=UserInfo(given["user"], groups=_groups(values["groups"])),
        impersonated_user=acting or None,
        source_ips=(given["ip"],) if given["ip"] else (),
        user_agent=values["user_agent"],
        object_ref=ObjectRef(namespace=given["namespace"]) if given["namespace"] else None,
        response_status=Status(code=int(code)) if code.isascii() and code.isdigit() else None,
        request_received_timestamp=found[1],
    )


def as_json(event: AuditEvent) -> bytes:
    """Write the event as the apiserver's JSON, without what the line did not tell."""
    return msgspec.json.encode(_given(event))


def _given(value: Any) -> Any:
    if not isinstance(value, msgspec.Struct):
        return value
    fields = ((f.encode_name, getattr(value, f.name)) for f in msgspec.structs.fields(value))
    return {
        name: _given(each) for name, each in fields if each and not isinstance(each, msgspec.Raw)
    }
