"""What a watcher of the stream asks of it: which records, as what line, and whose they are."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import orjson
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.config.mistakes import suggest
from k8s_audit_otlp.otlp.record import plain_value
from k8s_audit_otlp.telemetry.terminal_safe import visible_json
from k8s_audit_otlp.tools.heaviest import Heaviest
from k8s_audit_otlp.tools.text import printable, rfc3339

FIELDS: Final = (
    "user", "verb", "resource", "namespace", "name", "code", "level", "stage", "ip", "exporter"
)  # fmt: skip
_KNOWN: Final[Mapping[str, tuple[Sequence[str], str]]] = {  # what a field can be, and an example
    "code": ([str(code) for code in range(100, 600)], "403 or 4xx"),
    "level": (("Metadata", "Request", "RequestResponse"), "Metadata or Request*"),
    "stage": (
        ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"),
        "ResponseComplete or Response*",
    ),
}
_MOST_SHOWN: Final = 120  # signs of a field


class Watched(NamedTuple):
    """One record as it left: its fields as text, whatever they hold, and itself."""

    fields: dict[str, str]
    when_ns: int
    size: int  # bytes of the record
    event: Any  # the event's JSON, or text where the body is none
    event_name: str
    attributes: dict[str, Any]

    def as_json(self) -> str:
        """Return one object on one line."""
        plain = {
            "exporter": self.fields["exporter"],
            "time_unix_nano": self.when_ns,
            "event_name": self.event_name,
            "attributes": self.attributes,
            "body": self.event,
        }
        return visible_json(orjson.dumps(plain, default=str).decode())

    def shown(self, field: str) -> str:
        return printable(self.fields[field], _MOST_SHOWN)


def read(exporter: str, record: bytes) -> Watched:
    """Read a record of the stream. What is asked of it is looked up in the event, its body."""
    log = ScopeLogs.FromString(record).log_records[0]  # records are encoded as its field
    body: Any = log.body.string_value
    with contextlib.suppress(orjson.JSONDecodeError):
        body = orjson.loads(body)
    event = body if isinstance(body, dict) else {}
    attributes = {pair.key: plain_value(pair.value) for pair in log.attributes}
    fields = {**_fields(event), "exporter": exporter}
    return Watched(fields, log.time_unix_nano, len(record), body, log.event_name, attributes)


def _fields(event: dict[str, Any]) -> dict[str, str]:
    user, ref = _object(event.get("user")), _object(event.get("objectRef"))
    resource = ".".join(filter(None, (_text(ref.get("resource")), _text(ref.get("apiGroup")))))
    if subresource := _text(ref.get("subresource")):
        resource += f"/{subresource}"
    addresses = event.get("sourceIPs")
    return {
        "user": _text(user.get("username")),
        "verb": _text(event.get("verb")),
        "resource": resource or _text(event.get("requestURI")).partition("?")[0],
        "namespace": _text(ref.get("namespace")),
        "name": _text(ref.get("name")),
        "code": _text(_object(event.get("responseStatus")).get("code")),
        "level": _text(event.get("level")),
        "stage": _text(event.get("stage")),
        "ip": _text(addresses[0]) if isinstance(addresses, list) and addresses else "",
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


def line_of(record: Watched) -> str:
    """Write a record as one line: when, which exporter, who did what, with which result.

    Each field is there, `-` where the event has none: a user stands in no other one's place.
    """
    when, of = rfc3339(record.when_ns, 3), record.shown
    if not of("verb"):
        text = record.event_name if isinstance(record.event, dict) else str(record.event)
        return f"{when} {of('exporter')}  {printable(record.event_name)}  {printable(text)}"
    place = f"{of('namespace') or '-'}/{of('name') or '-'}"
    parts = (of("exporter"), of("code"), of("verb"), of("resource"), place, of("user"))
    return f"{when} {'  '.join(part or '-' for part in parts)}"


class Match:
    """What is asked for: each field by a pattern; a field given twice takes either.

    `*`, `?` and `[` stand for what they do in the shell, unless the pattern is the whole value as
    it is or as it is shown; in a code `x` is any digit.
    """

    def __init__(self, wishes: Iterable[str]) -> None:
        """Read `field=pattern` of each wish.

        Raise ValueError where there is no such field, or nothing can be like the pattern.
        """
        self._wanted: dict[str, list[str]] = {}
        for wish in wishes:
            field, equals, pattern = wish.partition("=")
            if field not in FIELDS:
                raise ValueError(f"there is no field {field!r}; {suggest(field, FIELDS)}")
            if not equals or not pattern:
                raise ValueError(f"{wish!r} has no pattern; write {field}=PATTERN")
            if field == "code":
                pattern = pattern.lower().replace("x", "?")
            values, example = _KNOWN.get(field, ((), ""))
            if values and not any(fnmatchcase(value, pattern) for value in values):
                hint = f"write {example}; given twice, {field} takes either"
                raise ValueError(f"no {field} is like {pattern!r}; {hint}")
            self._wanted.setdefault(field, []).append(pattern)

    def __call__(self, record: Watched) -> bool:
        return all(
            any(
                value == pattern or fnmatchcase(value, pattern)
                for value in (record.fields[field], record.shown(field))
                for pattern in patterns
            )
            for field, patterns in self._wanted.items()
        )


class Volume:
    """Who and what makes the volume: bytes and events by user, verb and resource."""

    def __init__(self) -> None:
        self.events = self.size = 0
        self._heaviest: Heaviest[tuple[str, str, str]] = Heaviest()

    def add(self, record: Watched) -> None:
        of = record.shown
        nobody = "(not authenticated)" if of("verb") else record.event_name
        key = (of("user") or nobody, of("verb"), of("resource"))
        self._heaviest.add(key, record.size, record.size)
        self.events += 1
        self.size += record.size

    def rows(self, most: int) -> Iterator[tuple[str, str, str, int, int]]:
        """Yield (user, verb, resource, events, bytes), the largest first."""
        for key, sums in self._heaviest.top(most):
            yield (*key, sums.events, sums.log_bytes)
