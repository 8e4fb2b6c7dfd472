"""The two forms of the plain line's encoder, in Python and compiled, give the same."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp import VERSION, plain_line
from k8s_audit_otlp.otlp.encode import Encoder, _Output
from k8s_audit_otlp.otlp.limits import AttributeLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.plain_line import Lines
from k8s_audit_otlp.otlp.read_lines import PlainLine
from k8s_audit_otlp.otlp.record_place import RecordPlace
from tests.kit import strategies

EVENT = {
    "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "0d9b-7a34",
    "stage": "ResponseComplete", "requestURI": "/api/v1/pods?a=1&b=2", "verb": "get",
    "user": {"username": "alice", "groups": ["a"]}, "sourceIPs": ["10.0.0.1"], "userAgent": "k/1",
    "objectRef": {
        "resource": "pods", "namespace": "a", "name": "b", "uid": "4f1c", "apiGroup": "g",
        "apiVersion": "v1", "resourceVersion": "12", "subresource": "status",
    },
    "responseStatus": {"metadata": {}, "code": 200}, **strategies.TIMES,
    "annotations": {"authorization.k8s.io/decision": "allow"},
}  # fmt: skip
LINE = strategies.as_written(EVENT)
WITH_BODIES = strategies.as_written(
    {**EVENT, "level": "RequestResponse", "requestObject": {"a": 1}, "responseObject": {"b": [2]}}
)


def encoder_of(lines: Lines, options: MappingOptions | None = None, *, redact: bool) -> Encoder:
    kind = type("_Encoder", (Encoder,), {"lines": lines})
    processor = EventProcessor(None, Redactor()) if redact else None
    clean = processor.clean_parts() if processor else None
    made = kind(options, transform=processor, clean=clean)
    assert isinstance(made, Encoder)
    return made


class Ran(NamedTuple):
    """Where a run stopped, and what it has made."""

    at: int
    records: list[bytes]
    ends: list[int]
    digests: bytearray
    fired: list[tuple[str, ...]]


def run_over(encoder: Encoder, data: bytes, start: int = 1000, **changes: Any) -> Ran:
    """Run over lines from the first one; every body is judged by a `judge` that is given."""
    if "judge" in changes:
        changes = {"bodies_stay": lambda *_: False, **changes}
    block = Block(Span(0, start, start + len(data)), "a", "audit.log", data, 1)
    fast = encoder._fast
    assert fast
    run = encoder._begin_run(fast, block, _Output("a", digests=True))._replace(**changes)
    place = RecordPlace(block, encoder._records.parts).frame(start)
    at = encoder.lines.run(run, 0, place)
    return Ran(at, run.records, run.ends, run.digests, run.fired)


def quick(encoder: Encoder, line: bytes, body: bytes | None = None) -> list[bytes]:
    """Encode without the general way, bodies as *body* if given; nothing for what would take it."""
    if body is None:
        return run_over(encoder, line).records
    judged = body, b"beside", ("rule",)
    return run_over(encoder, line, judge=lambda *_: judged).records


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Change a few bytes of a line, or parts of it: double one, take one out, put two in turn."""
    line = draw(st.sampled_from([LINE, WITH_BODIES]))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(line)))
        end = draw(st.integers(start, min(len(line), start + 40)))
        new = draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b'"', b"\\", b"}", b',"objectRef":{', b"\\u0026", b"?", b"\0"]),
                st.just(line[start:end] * 2),
            )
        )
        line = line[:start] + new + line[end:]
    return line


def rejoined(parts: PlainLine) -> bytes:
    """Write a line of its parts again."""
    member = {
        name: b',"%b":"%b"' % (name.encode(), value) if value else b""
        for name, value in (
            ("namespace", parts.namespace), ("name", parts.name), ("uid", parts.uid),
            ("resourceVersion", parts.version),
        )
    }  # fmt: skip
    reference = b"".join((
        parts.front, member["namespace"], member["name"], member["uid"], parts.back,
        member["resourceVersion"], parts.subresource,
    ))  # fmt: skip
    return b"".join((
        b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"', parts.level,
        b'","auditID":"', parts.audit_id, b'","stage":"', parts.stage,
        b'","requestURI":"', parts.path, b"?" + parts.query if parts.query else b"",
        b'","verb":"', parts.verb, b'",', parts.caller,
        b',"objectRef":{%b}' % reference if reference else b"", parts.status,
        b',"requestObject":' + parts.request if parts.request else b"",
        b',"responseObject":' + parts.response if parts.response else b"",
        b',"requestReceivedTimestamp":"%b.%bZ"' % (parts.received, parts.received_us),
        b',"stageTimestamp":"%b.%bZ"' % (parts.staged, parts.staged_us),
        b',"annotations":' + parts.annotations if parts.annotations else b"", b"}",
    ))  # fmt: skip


def without_empty(line: bytes) -> bytes:
    """Leave out what is written empty, which the parts do not tell from what is not written."""
    for name in (b"namespace", b"name", b"uid", b"resourceVersion"):
        line = line.replace(b',"%b":""' % name, b"")
    return line.replace(b'?","verb"', b'","verb"')


@settings(max_examples=150, deadline=None)
@given(mutated())
def test_every_byte_of_a_line_is_in_a_part_of_it(line: bytes) -> None:
    """What is in none would leave with the line, and nobody would have judged it."""
    parts = plain_line.read(line)
    if parts is not None:
        assert without_empty(rejoined(PlainLine(*parts))) == without_empty(line)


def test_lines_as_the_apiserver_writes_them_are_read() -> None:
    """With bodies, without objectRef, at its beginning."""
    without = {k: v for k, v in EVENT.items() if k not in ("objectRef", "responseStatus")}
    for line in (LINE, WITH_BODIES, strategies.as_written({**without, "stage": "RequestReceived"})):
        parts = plain_line.read(line)
        assert parts
        assert rejoined(PlainLine(*parts)) == line


@settings(max_examples=200, deadline=None)
@given(line=mutated())
def test_both_read_the_same_parts(compiled: Lines, line: bytes) -> None:
    """Of lines that are changed anywhere, too."""
    assert compiled.read(line) == plain_line.read(line)


OPTIONS = (
    MappingOptions(),
    MappingOptions("semconv"),
    MappingOptions(limits=AttributeLimits(value_bytes=64)),
)


@pytest.fixture(scope="module", params=[True, False], ids=["redacted", "raw"])
def pairs(compiled: Lines, request: Any) -> list[tuple[Encoder, Encoder]]:
    return [
        (
            encoder_of(plain_line, options, redact=request.param),
            encoder_of(compiled, options, redact=request.param),
        )
        for options in OPTIONS
    ]


@settings(max_examples=200, deadline=None)
@given(line=mutated(), body=st.none() | st.binary(max_size=300))
def test_both_encode_the_same_record(pairs: Any, line: bytes, body: bytes | None) -> None:
    """Or both leave it to the general way."""
    for one, other in pairs:
        assert quick(one, line, body) == quick(other, line, body)


@settings(max_examples=100, deadline=None)
@given(event=strategies.plain_events, escaped=st.booleans())
def test_both_encode_any_plain_event(pairs: Any, event: Any, *, escaped: bool) -> None:
    """Whatever is in its members."""
    line = strategies.as_written({**EVENT, **event}, escaped=escaped)
    for one, other in pairs:
        assert quick(one, line) == quick(other, line)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 511, 512, 4095, 4096, 4097, 16384])
def test_both_write_lengths_of_any_size(pairs: Any, size: int) -> None:
    """Lengths of one, two and three bytes; texts with and without a remembered frame."""
    for member in ("requestURI", "auditID", "userAgent", "verb"):
        value = "/x?q=" + "é&" * (size // 2) if member == "requestURI" else "a" * size
        line = strategies.as_written({**EVENT, member: value}, escaped=False)
        for one, other in pairs:
            assert quick(one, line) == quick(other, line)
    for one, other in pairs:
        assert quick(one, WITH_BODIES, b"x" * size) == quick(other, WITH_BODIES, b"x" * size)


@pytest.mark.parametrize(
    "times", [("9", "8"), ("0", "1"), ("a", "b"), ("2026-02-30", "2026-03-01")]
)
def test_both_refuse_times_that_are_none(pairs: Any, times: tuple[str, str]) -> None:
    """And a clock that went back."""
    start, end = (f"{time:0<10}T03:04:05.000006Z" for time in times)
    line = strategies.as_written(
        {**EVENT, "requestReceivedTimestamp": start, "stageTimestamp": end}
    )
    for one, other in pairs:
        assert [] == quick(one, line) == quick(other, line)


def test_the_compiled_form_is_the_one_in_use(compiled: Any) -> None:
    """One of another version, left in a working tree, would not be."""
    assert compiled.VERSION == VERSION, "install the working tree again"
    assert Encoder.lines is compiled


def test_a_form_that_differs_would_be_seen(compiled: Lines) -> None:
    """One that takes the name from another place, say."""

    class Wrong:
        caller = staticmethod(compiled.caller)
        run = staticmethod(compiled.run)
        read_all = staticmethod(compiled.read_all)
        doubt = staticmethod(compiled.doubt)
        all_begin_so = staticmethod(compiled.all_begin_so)

        @staticmethod
        def read(line: bytes, /) -> tuple[bytes, ...] | None:
            parts = compiled.read(line)
            return parts and (*parts[:9], parts[10], *parts[10:])

    assert Wrong().read(LINE) != plain_line.read(LINE)


@pytest.mark.parametrize("broken", [7, "line", None])
def test_the_compiled_form_refuses_what_is_no_line(compiled: Lines, broken: Any) -> None:
    """With an error, as a function in Python does."""
    with pytest.raises(TypeError):
        compiled.read(broken)
    with pytest.raises(TypeError):
        compiled.all_begin_so(broken)
    with pytest.raises(TypeError):
        compiled.read_all(broken, broken)
    with pytest.raises(ValueError, match="PyCapsule"):
        compiled.doubt(broken, 0, 1)
    with pytest.raises(TypeError):
        compiled.run((broken,), 0, ())  # type: ignore[arg-type]  # as it is
