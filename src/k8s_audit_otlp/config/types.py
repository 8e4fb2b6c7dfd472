"""The types of the scalars in a configuration, and how their text is read. No I/O.

Each type carries its JSON Schema, so the printed schema says what the validator accepts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from k8s_audit_otlp.config.durations import duration_ns, parse_duration, parse_size
from k8s_audit_otlp.config.references import Expanded
from k8s_audit_otlp.config.secret import Secret

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # rfc-editor.org/rfc/rfc9110#section-5.6.2
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ].*(?:[Zz]|[+-]\d\d:\d\d))?")


def mistake(what: str, hint: str) -> PydanticCustomError:
    """Return an error that the loader turns into a Mistake as it stands."""
    values = {"what": what, "hint": hint}
    return PydanticCustomError("mistake", "{what}; {hint}", values)


def _split(error: ValueError, value: object, wanted: str) -> PydanticCustomError:
    if isinstance(value, Expanded):  # the message would show what a file or a variable holds
        return mistake(f"{shown(value)} does not hold {wanted}", "look at what it stands for")
    what, _, hint = str(error).partition("; ")
    return mistake(what, hint)


def shown(value: object) -> str:
    """Return *value* for a message; one that came from a reference is shown as written."""
    text = value.source if isinstance(value, Expanded) else str(value)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise mistake("not a duration", "write one such as 300ms, 5s or 1h30m")
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise _split(error, value, "a duration") from None


def _bytes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise mistake("not a size", "write bytes or one such as 64MiB or 250KB")
    try:
        return parse_size(value)
    except ValueError as error:
        raise _split(error, value, "a size") from None


def _positive(value: float) -> float:
    if value <= 0:
        raise mistake("must be more than 0", "write a longer duration or leave the key out")
    return value


Seconds = Annotated[
    float,
    PlainValidator(_seconds),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["300ms", "5s", "1h30m"]}),
]
PositiveSeconds = Annotated[Seconds, AfterValidator(_positive)]
Bytes = Annotated[
    int,
    PlainValidator(_bytes),
    WithJsonSchema({"type": ["integer", "string"], "format": "size", "examples": ["64MiB"]}),
]


@dataclass(frozen=True, slots=True)
class StartAt:
    """Where an exporter that has no position begins."""

    kind: Literal["beginning", "end", "age", "time"]
    age_s: float = 0.0  # with "age": events younger than that, seen from the start
    time_ns: int = 0  # with "time": events since then, nanoseconds since the epoch

    def since_ns(self, now_ns: int) -> int | None:
        """Return the first time wanted; None where it is not a question of time."""
        if self.kind == "age":
            return max(0, now_ns - round(self.age_s * 1e9))
        return self.time_ns if self.kind == "time" else None


def _start_at(value: Any) -> StartAt:
    text = str(value)
    if text == "beginning":
        return StartAt("beginning")
    if text == "end":
        return StartAt("end")
    try:
        if _TIME.fullmatch(text):
            return StartAt("time", time_ns=_epoch_ns(text))
        return StartAt("age", age_s=duration_ns(text) / 1e9)
    except (ValueError, OverflowError):
        hint = (
            "write beginning, end, an age such as 24h, or a time such as 2026-01-31 or "
            "2026-01-31T12:00:00Z"
        )
        if _TIME.fullmatch(f"{text}Z"):
            hint = f"it has no zone: write {text}Z for UTC, or {text}+02:00"
        raise mistake(f"{shown(value)} is no place to start", hint) from None


def _epoch_ns(text: str) -> int:
    """Read a time with its zone, or a date: its midnight in UTC."""
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


StartAtValue = Annotated[
    StartAt,
    PlainValidator(_start_at),
    WithJsonSchema({"type": "string", "examples": ["beginning", "end", "24h"]}),
]


def _scalar(value: Any) -> str | int | float | bool:
    if isinstance(value, str | int | float):
        return value if not isinstance(value, Expanded) else str.__str__(value)
    raise mistake("not a text, number or boolean", "write one value per key")


Scalar: TypeAlias = Annotated[
    str | int | float | bool,
    PlainValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


def to_secret(value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, Expanded):
        return value.secret
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return Secret.of(str(value))
    raise mistake("not a text", "write one value, quoted if need be")


TEXT_SCHEMA = WithJsonSchema({"type": "string"})
SecretText = Annotated[Secret, PlainValidator(to_secret), TEXT_SCHEMA]
SecretTexts = Annotated[
    tuple[SecretText, ...],
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
    WithJsonSchema({"type": ["string", "array"]}),
]


def known_value(secret: Secret) -> str | None:
    """Return the value where it can be read now; a file may come later."""
    try:
        return secret.resolve()
    except OSError:
        return None


def whole_path(name: str, example: str) -> str:
    """Refuse a path that means another file wherever, or by whomever, the agent is started."""
    if name.startswith("~"):
        raise mistake(f"{name}: ~ is the shell's", "write the whole path")
    if not name.startswith("/"):
        what = f"{name} is relative, and depends on where the agent is started"
        raise mistake(what, f"write the whole path, such as {example}")
    if "\0" in name:
        raise mistake("holds a NUL character", "remove it")
    return name


def _header_value(value: Any) -> Secret:
    text = known_value(secret := to_secret(value))
    if text is None:
        return secret
    if "\n" in text or "\r" in text or "\0" in text:
        raise mistake(
            "the value holds a line break", "write it on one line (the value is not shown)"
        )
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise mistake(
            "the value holds a character that HTTP headers cannot carry",
            "use Latin-1 letters (the value is not shown)",
        ) from None
    return secret


def _header_name(value: Any) -> str:
    name = str(value)
    if not _TOKEN.fullmatch(name):
        raise mistake(
            "the name of a header holds a character that HTTP does not allow",
            "use letters, digits and -",
        )
    if name.lower() in _OWN_HEADERS:
        raise mistake(
            f"{name} is a header that says how the request itself is sent",
            "leave it out; the endpoint and the body decide it",
        )
    return name


def _header_map(value: Any) -> Any:
    """Accept the Collector's list of {name, value} beside the map."""
    if not isinstance(value, list):
        return value
    if all(isinstance(one, Mapping) and one.keys() == {"name", "value"} for one in value):
        return {one["name"]: one["value"] for one in value}
    raise mistake("an item is not {name, value}", "write name: and value: in each item")


def _metadata_value(value: Any) -> Secret:
    secret = _header_value(value)
    if not (known_value(secret) or "").isascii():
        raise mistake(
            "the value holds a character that gRPC metadata cannot carry",
            "use ASCII letters (the value is not shown)",
        )
    return secret


HeaderName = Annotated[str, PlainValidator(_header_name), TEXT_SCHEMA]
HeaderValue = Annotated[Secret, PlainValidator(_header_value), TEXT_SCHEMA]
MetadataValue = Annotated[Secret, PlainValidator(_metadata_value), TEXT_SCHEMA]
_MAP_OR_LIST = WithJsonSchema(
    {"type": ["object", "array"], "additionalProperties": {"type": ["string", "number"]}}
)
Headers = Annotated[dict[HeaderName, HeaderValue], BeforeValidator(_header_map), _MAP_OR_LIST]
Metadata = Annotated[dict[HeaderName, MetadataValue], BeforeValidator(_header_map), _MAP_OR_LIST]
