"""A run over the lines of a block: both forms encode the same lines and stop at the same one."""

from hashlib import sha256
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import REFUSED
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp import plain_line
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.plain_line import Lines, Run
from k8s_audit_otlp.otlp.record_place import RecordPlace
from k8s_audit_otlp.state.content_hash import digest_of
from tests.kit import strategies
from tests.unit.otlp.test_plain_line import EVENT, LINE, WITH_BODIES, encoder_of, mutated

NOT_ASCII = strategies.as_written({**EVENT, "userAgent": "größe"}, escaped=False)
SECRET = strategies.as_written({**EVENT, "userAgent": "x --password=hunter2hunter2"})
lines_of_all_kinds = st.one_of(
    st.sampled_from([LINE, LINE, LINE + b"\r", WITH_BODIES, NOT_ASCII, SECRET, b"", b"{}"]),
    mutated(),
)
starts = st.sampled_from([0, 1, 15, 100, 127, 4000, 16_383, 65_000, (1 << 21) - 700])


class Ran(NamedTuple):
    at: int
    records: list[bytes]
    ends: list[int]
    digests: list[tuple[int, bytes]]


@pytest.fixture(scope="module")
def pair() -> tuple[Encoder, Encoder]:
    compiled = pytest.importorskip("k8s_audit_otlp.otlp._quick_line", reason="no compiler")
    return encoder_of(plain_line, redact=True), encoder_of(compiled, redact=True)


def ran(encoder: Encoder, data: bytes, start: int, most: int = 1 << 20) -> Ran:
    """Run over *data* from its beginning."""
    fast = encoder._fast
    assert fast
    place = RecordPlace(_block(data, start), encoder._records.parts)
    tables, hashing = fast.tables, sha256
    made = Ran(0, [], [], [])
    run = Run(data, start, data.isascii(), tables, most, most, REFUSED, b"a-", hashing, *made[1:])
    return made._replace(at=encoder.lines.run(run, 0, place.frame(start)))


def _block(data: bytes, start: int) -> Block:
    return Block(Span(0, start, start + len(data)), "a", "audit.log", data, 1)


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(lines_of_all_kinds, max_size=5),
    start=starts,
    end=st.sampled_from([b"", b"\n"]),
    most=st.sampled_from([1 << 20, 2400, 1000]),
)
def test_both_run_to_the_same_line(
    pair: tuple[Encoder, Encoder], lines: list[bytes], start: int, end: bytes, most: int
) -> None:
    data = b"\n".join(lines) + end
    one, other = (ran(encoder, data, start, most) for encoder in pair)
    assert one == other
    assert one.ends[-1:] == [start + one.at][: len(one.ends)]


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(lines_of_all_kinds, max_size=5), start=starts)
def test_a_block_is_encoded_as_its_lines_are(
    pair: tuple[Encoder, Encoder], lines: list[bytes], start: int
) -> None:
    """Whatever a run takes and where it stops."""
    data = b"".join(line + b"\n" for line in lines)
    for encoder in pair:
        whole = encoder.encode_block(_block(data, start))
        records: list[bytes] = []
        at = start
        for line in data.split(b"\n")[:-1]:
            alone = encoder.encode_block(_block(line + b"\n", at))
            records += alone.records
            at += len(line) + 1
        assert [*whole.records] == records
        assert whole.lines == data.count(b"\n")


def test_a_run_takes_all_that_is_plain(pair: tuple[Encoder, Encoder]) -> None:
    data = (LINE + b"\n") * 3
    for encoder in pair:
        run = ran(encoder, data, 1 << 20)
        assert (run.at, len(run.records), run.ends[-1]) == (len(data), 3, (1 << 20) + len(data))
        assert run.digests[0] == (1 << 20, digest_of(b"a-100000", LINE))


@pytest.mark.parametrize("line", [LINE + b"\r", WITH_BODIES, NOT_ASCII, SECRET, b"", b"{}"])
def test_a_run_stops_before_any_other_line(pair: tuple[Encoder, Encoder], line: bytes) -> None:
    for encoder in pair:
        run = ran(encoder, LINE + b"\n" + line + b"\n" + LINE, 1 << 20)
        assert (run.at, len(run.records)) == (len(LINE) + 1, 1)


def test_a_run_stops_where_an_offset_grows_by_a_digit(pair: tuple[Encoder, Encoder]) -> None:
    start = 0x1000 - len(LINE)
    for encoder in pair:
        assert ran(encoder, (LINE + b"\n") * 3, start).at == len(LINE) + 1


def test_what_a_table_raises_beside_refusals_is_raised(compiled_lines: Lines) -> None:
    """A fault of ours must be seen, not taken for a line of another form."""

    class Broken(dict[bytes, int]):
        def __missing__(self, key: bytes) -> int:
            raise ZeroDivisionError

    for lines in (plain_line, compiled_lines):
        fast = encoder_of(lines, MappingOptions(), redact=False)._fast
        assert fast
        tables = fast.tables._replace(seconds=Broken())
        place = RecordPlace(_block(LINE, 1000), fast._records.parts).frame(1000)
        run = Run(LINE, 1000, True, tables, 9999, 9999, REFUSED, b"", None, [], [], [])
        with pytest.raises(ZeroDivisionError):
            lines.run(run, 0, place)


@pytest.fixture
def compiled_lines() -> Lines:
    return pytest.importorskip("k8s_audit_otlp.otlp._quick_line", reason="no compiler")
