"""A run over the lines of a block: both forms encode the same lines and stop at the same one."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.agent.process import hash_by_libcrypto
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp import plain_line
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.event_record import NotPlainError
from k8s_audit_otlp.otlp.interned import Found
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.plain_line import Judged, Lines
from k8s_audit_otlp.state.content_hash import ENTRY_BYTES, entry_of
from tests.kit import strategies
from tests.unit.otlp.test_plain_line import (
    EVENT,
    LINE,
    WITH_BODIES,
    Ran,
    encoder_of,
    mutated,
    run_over,
)

NOT_ASCII = strategies.as_written({**EVENT, "userAgent": "größe"}, escaped=False)
SECRET = strategies.as_written({**EVENT, "userAgent": "x --password=hunter2hunter2"})
lines_of_all_kinds = st.one_of(
    st.sampled_from([LINE, LINE, LINE + b"\r", WITH_BODIES, NOT_ASCII, SECRET, b"", b"{}"]),
    mutated(),
)
starts = st.sampled_from([0, 1, 15, 100, 127, 4000, 16_383, 65_000, (1 << 21) - 700])


def ran(encoder: Encoder, data: bytes, start: int, most: int = 1 << 20) -> Ran:
    return run_over(encoder, data, start, hash=sha256, most=most, most_beside=most)


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
        assert run.digests[:ENTRY_BYTES] == entry_of(1 << 20, b"a-100000", LINE)


@pytest.mark.parametrize("line", [LINE + b"\r", NOT_ASCII, NOT_ASCII + b"\r"])
def test_a_run_takes_what_others_write(pair: tuple[Encoder, Encoder], line: bytes) -> None:
    """Letters beside those of ASCII, and the line ends of another system, which are no body."""
    data = LINE + b"\n" + line + b"\n" + LINE
    for encoder in pair:
        run = ran(encoder, data, 1 << 20)
        assert (run.at, run.ends[1]) == (len(data) + 1, (1 << 20) + len(LINE) + len(line) + 2)
        assert run.records[1].endswith(line.removesuffix(b"\r"))


@pytest.mark.parametrize("line", [LINE + b"\r\r", b"\r" + LINE, SECRET, b"", b"{}", b"\r"])
def test_a_run_stops_before_any_other_line(pair: tuple[Encoder, Encoder], line: bytes) -> None:
    for encoder in pair:
        run = ran(encoder, LINE + b"\n" + line + b"\n" + LINE, 1 << 20)
        assert (run.at, len(run.records)) == (len(LINE) + 1, 1)


@pytest.mark.parametrize("member", [b'"responseStatus":{', b'"objectRef":{', b'"verb":"'])
def test_a_nul_makes_no_other_key(pair: tuple[Encoder, Encoder], member: bytes) -> None:
    """It stands between the parts of a key."""
    odd = LINE.replace(member, member + b"\0")
    assert odd != LINE
    for encoder in pair:
        run = ran(encoder, LINE + b"\n" + odd + b"\n" + LINE, 1 << 20)
        assert (run.at, len(run.records)) == (len(LINE) + 1, 1)


def test_what_is_found_of_late_is_that_of_its_own_tables(compiled: Lines) -> None:
    """Two encoders by turns, each line looked up three times and so found without its table."""
    encoders = [
        encoder_of(lines, MappingOptions(prefix=prefix), redact=True)
        for lines in (plain_line, compiled)
        for prefix in ("k8s.audit.", "audit.")
    ]
    rows = [LINE.replace(b"pods", b"pods%d" % n) for n in range(3)]
    assert len(set(rows)) == len(rows)
    for _ in range(3):
        for row in rows:
            of_python, other, of_c, its_other = (ran(e, row, 0).records for e in encoders)
            assert of_python == of_c != other == its_other
            assert of_c


def test_a_run_stops_where_an_offset_grows_by_a_digit(pair: tuple[Encoder, Encoder]) -> None:
    start = 0x1000 - len(LINE)
    for encoder in pair:
        assert ran(encoder, (LINE + b"\n") * 3, start).at == len(LINE) + 1


def test_what_a_table_raises_beside_refusals_is_raised(compiled: Lines) -> None:
    """A fault of ours must be seen, not taken for a line of another form."""

    class Broken(dict[bytes, Found]):
        def __missing__(self, key: bytes) -> Found:
            raise ZeroDivisionError

    def broken(*_: object) -> Judged:
        raise ZeroDivisionError

    for lines in (plain_line, compiled):
        encoder = encoder_of(lines, MappingOptions(), redact=False)
        fast = encoder._fast
        assert fast
        tables = fast.tables._replace(callers=Broken())
        with pytest.raises(ZeroDivisionError):
            run_over(encoder, LINE, tables=tables)
        with pytest.raises(ZeroDivisionError):
            run_over(encoder, WITH_BODIES, judge=broken)


def test_lines_with_bodies_are_judged(pair: tuple[Encoder, Encoder]) -> None:
    """They leave as the verdict says, and what it says of them is beside them."""
    data = LINE + b"\n" + WITH_BODIES + b"\n" + LINE
    for encoder in pair:
        untouched = run_over(encoder, data, hash=sha256)
        judged = run_over(
            encoder, data, hash=sha256, judge=lambda *_: (b"{}", b"beside", ("rule", "other"))
        )
        assert untouched.at == judged.at > len(data)
        assert WITH_BODIES in untouched.records[1]
        assert judged.records[1].endswith(b"\x02{}")
        assert b"beside" in judged.records[1]
        assert (untouched.fired, judged.fired) == ([], [("rule", "other")])
        place = 1000 + len(LINE) + 1
        second = judged.digests[ENTRY_BYTES : 2 * ENTRY_BYTES]
        assert second == entry_of(place, b"a-%x" % place, b"{}")
        assert judged.ends == untouched.ends


def test_bodies_that_stay_are_not_judged(pair: tuple[Encoder, Encoder]) -> None:
    """Both forms ask with the same of the line, and stop where there is no answer."""
    all_asked = []
    for encoder in pair:
        asked: list[tuple[bytes, ...]] = []

        def stay(*given: bytes, asked: list[tuple[bytes, ...]] = asked) -> bool:
            asked.append(given)
            return len(asked) == 1

        def judge(*_: object) -> Judged:
            raise NotPlainError

        data = LINE + b"\n" + WITH_BODIES + b"\n" + WITH_BODIES
        run = run_over(encoder, data, bodies_stay=stay, judge=judge)
        assert (run.at, len(run.records)) == (len(LINE) + len(WITH_BODIES) + 2, 2)
        assert run.records[1].endswith(WITH_BODIES)
        all_asked += asked
    [given] = set(all_asked)
    assert given[3:] == (b'{"a":1}', b'{"b":[2]}', b"")
    assert given[:3] == (
        b'"resource":"pods"', b',"apiGroup":"g","apiVersion":"v1"', b',"subresource":"status"'
    )  # fmt: skip
    assert len(all_asked) == 4


@pytest.mark.parametrize("refusal", [ValueError(), NotPlainError()])
def test_a_run_stops_before_a_line_whose_bodies_are_refused(
    pair: tuple[Encoder, Encoder], refusal: Exception
) -> None:
    def refuse(*_: object) -> Judged:
        raise refusal

    for encoder in pair:
        run = run_over(encoder, LINE + b"\n" + WITH_BODIES + b"\n" + LINE, judge=refuse)
        assert (run.at, len(run.records), run.fired) == (len(LINE) + 1, 1, [])


@pytest.mark.parametrize("ending", [b"", b"\r"])
def test_what_is_no_utf8_is_never_encoded_as_it_is(
    pair: tuple[Encoder, Encoder], ending: bytes
) -> None:
    """Every string on the wire must be UTF-8: a back end refuses the whole request else."""
    bad = LINE.replace(b"k/1", b"k\xff1")
    assert bad != LINE
    for encoder in pair:
        [record] = encoder.encode_block(_block(bad + ending + b"\n", 0)).records
        assert b"k\xff1" not in record
        assert "k\ufffd1".encode() in record


def test_a_line_is_hashed_the_same_by_the_functions_of_libcrypto(
    pair: tuple[Encoder, Encoder],
) -> None:
    """Elsewhere the objects of hashlib are used."""
    compiled = pytest.importorskip("k8s_audit_otlp.otlp._quick_line", reason="no compiler")
    data = LINE + b"\n" + WITH_BODIES
    expected = ran(pair[0], data, 0).digests
    assert ran(pair[1], data, 0).digests == expected
    if not hash_by_libcrypto():
        pytest.skip("hashlib is linked with another library")
    try:
        assert ran(pair[1], data, 0).digests == expected
    finally:
        compiled.use_sha256(0, 0, 0)
