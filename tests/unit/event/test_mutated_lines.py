"""Real lines, damaged in every way: the whole path from bytes to a record takes them all."""

import json
import random
from pathlib import Path

import pytest

from k8s_audit_otlp.event.processor import EventProcessor, Shrinker
from k8s_audit_otlp.event.redact import RedactionRules, Redactor
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit.log.events import EventSource
from tests.kit.strategies import blocks_of, line_of, read

GOLDEN = Path(__file__).parents[2] / "golden" / "events.log"
ODD = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"0", b"-1", b"1e999", b"true"),
    *(b"\x00", b"\xff", b"\\ud800", b"\\u0000", b"\xef\xbb\xbf", b" ", b"\t", b"%", b"%ff", b"&"),
    *(b'"requestObject":', b'"responseObject":{}', b'"kind":"Event"', b'{"a":1}', b"9" * 30),
)


def real_lines() -> list[bytes]:
    source = EventSource(7, clock=lambda: 1_767_323_045.0)
    return [source.line() for _ in range(60)] + GOLDEN.read_bytes().splitlines()


def encoder_of(rules: RedactionRules | None = None, max_record_bytes: int = 0) -> Encoder:
    processor = EventProcessor(None, Redactor(rules))
    return Encoder(
        transform=processor,
        clean=processor.clean_parts(),
        shrink=Shrinker(),
        max_record_bytes=max_record_bytes,
    )


def damaged(rng: random.Random, line: bytes, other: bytes) -> bytes:
    """Change a line in one to four places: cut, insert, overwrite, repeat, or splice another in."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randint(0, len(line)) for _ in range(2))
        end = min(end, at + rng.choice((1, 8, 4000)))
        match rng.randrange(6):
            case 0:
                line = line[:at] + line[end:]
            case 1:
                line = line[:at] + rng.choice(ODD) + line[at:]
            case 2:
                line = line[:at] + rng.choice(ODD) + line[end:]
            case 3:
                line = line[:at] + line[at:end] * 2 + line[end:]
            case 4:
                line = line[:at] + other[at:]
            case _:
                line = _retyped(rng, line)
    return line.replace(b"\n", b"")


def _retyped(rng: random.Random, line: bytes) -> bytes:
    """Give a member, of the event or of an object in it, a value of another type."""
    try:
        value = json.loads(line)
        holder = value
        while isinstance(inner := rng.choice([*holder.values()]), dict) and inner:
            holder = inner
        key = rng.choice([*holder])
        holder[key] = rng.choice([None, 1, -1.5, "x", [], {}, [None, 1, "a"], {"a": ["b", 2]}])
    except (ValueError, IndexError, AttributeError, RecursionError):
        return line
    return json.dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _run(count: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - seeded: the same lines again
    lines = real_lines()
    encoders = [
        encoder_of(),
        encoder_of(max_record_bytes=4096),
        encoder_of(RedactionRules(args="redact", bodies="drop")),
    ]
    for _ in range(count // 50):
        made = [damaged(rng, rng.choice(lines), rng.choice(lines)) for _ in range(50)]
        for encoder in encoders:
            encoded = encoder.encode_block(blocks_of(made))
            records = read(encoded)
            assert encoded.lines == 50
            assert len(records) >= sum(bool(line.strip(b" \t\r\x00")) for line in made)
            assert encoded.ends == sorted(encoded.ends)


def test_no_damage_to_a_line_raises_or_drops_it() -> None:
    """Each line is a record at least, under any rules and any limit."""
    _run(1500, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
def test_no_damage_to_a_line_raises_or_drops_it_in_many_runs(seed: int) -> None:
    """The same, longer."""
    _run(2000, seed)


@pytest.mark.parametrize("name", ["requestObject", "responseObject", "kind", "items", "\x00"])
@pytest.mark.parametrize("owner", ["user", "impersonatedUser"])
def test_a_name_that_clients_choose_is_taken_for_no_member_of_the_event(
    owner: str, name: str
) -> None:
    """Who may impersonate chooses the keys of `extra`; they stay where they are."""
    extra = {name: ["a", "b"]}
    for members in ({}, {"requestObject": {"a": 1}}, {"responseObject": {"password": "hunter22"}}):
        line = line_of(**{owner: {"username": "alice", "extra": extra}}, **members)
        [record] = read(encoder_of().encode_block(blocks_of([line])))
        body = json.loads(record["body"])
        assert body[owner] == {"username": "alice", "extra": extra}
        assert "hunter22" not in record["body"]
        assert set(members) <= set(body)


def test_a_code_that_is_no_number_of_http_does_not_stop_a_line_that_is_redacted() -> None:
    """Nor one that is shrunk: the code is left out, and named."""
    status = {"code": 10**30}
    for members in ({"requestObject": {"password": "hunter22"}}, {"userAgent": "u" * 9000}):
        line = line_of(responseStatus=status, **members)
        [record] = read(encoder_of(max_record_bytes=4096).encode_block(blocks_of([line])))
        assert record["attributes"].get("k8s.audit.parse_error") == "responseStatus.code", record[
            "attributes"
        ]
        assert "hunter22" not in record["body"]
