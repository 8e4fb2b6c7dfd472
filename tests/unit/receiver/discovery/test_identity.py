"""A segment is known by what it begins with."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.receiver.identity import Identity, fingerprint, identify
from tests.kit.present import present

EVENT = (
    b'{"kind":"Event","auditID":"a","stage":"RequestReceived",'
    b'"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z"}\n'
)


def named(content: bytes) -> Identity:
    return present(identify(content, finished=False))


def test_an_event_is_known_by_its_four_fields() -> None:
    """Other fields and their order do not matter."""
    other = (
        b'{"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z","verb":"get",'
        b'"stage":"RequestReceived","auditID":"a"}\n'
    )
    one = named(EVENT)
    assert one.name == named(other).name
    assert len(one.name) == 16
    assert one.name != named(EVENT.replace(b'"a"', b'"b"')).name


def test_a_line_that_is_no_event_is_known_by_itself() -> None:
    """So is an event without an id or a time, which many may share."""
    for line in (b"text\n", b"[1]\n", b'{"auditID":"a"}\n', b'{"stageTimestamp":"x"}\n', b"\xff\n"):
        assert named(line).name == fingerprint(line[:-1])


def test_half_a_line_is_nothing_unless_the_file_is_finished() -> None:
    """Whoever names it too early gives it another name later."""
    assert identify(EVENT[:30], finished=False) is None
    assert identify(EVENT[:30], finished=True) is not None
    assert identify(b"", finished=True) is None
    assert identify(b"\0\0\0\n\n", finished=True) is None


@given(
    leading=st.lists(st.sampled_from([b"\0", b"\0" * 5000, b"\xef\xbb\xbf", b"\n"]), max_size=4),
    rest=st.binary(max_size=100),
)
def test_what_stands_before_the_first_line_does_not_matter(leading: Any, rest: Any) -> None:
    """Marks, holes and empty lines are passed; the fingerprint is of the line itself."""
    before = b"".join(leading)
    found = named(before + EVENT + rest)
    assert found.name == named(EVENT).name
    assert found.head == fingerprint(EVENT[:-1][: found.head_length])
    assert found.head_start == len(before)


@given(data=st.binary(max_size=200), more=st.binary(max_size=200))
def test_what_follows_the_first_line_does_not_matter(data: Any, more: Any) -> None:
    """A segment keeps its identity while it grows."""
    first = identify(data, finished=False)
    if first is not None:
        assert identify(data + more, finished=False) == first


def test_a_segment_begins_when_its_first_event_ended() -> None:
    """That is what its records say; an event of before a stage has the time of its request."""
    stage, request = (f"2026-01-02T03:04:0{second}.000000Z" for second in (7, 5))
    both = named(
        b'{"auditID":"a","requestReceivedTimestamp":"%b","stageTimestamp":"%b"}\n'
        % (request.encode(), stage.encode())
    )
    assert both.when_ns == unix_ns(stage)
    alone = named(b'{"auditID":"a","requestReceivedTimestamp":"%b"}\n' % request.encode())
    assert alone.when_ns == unix_ns(request)
