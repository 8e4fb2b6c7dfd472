"""A huge line costs a few times its size, and still says who did what."""

import json

import pytest

from k8s_audit_otlp.event.decode import read_line
from k8s_audit_otlp.event.memory_bounds import MAX_OUTSIDE_BODIES, check_utf8
from tests.kit.strategies import line_of

MASS = ["a"] * (MAX_OUTSIDE_BODIES // 4)


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"user": {"username": "bob", "groups": MASS}}, ["user.groups"]),
        ({"user": {"username": "bob", "extra": {"x": MASS}}}, ["user.extra"]),
        ({"user": {"username": "bob", "zz": MASS}}, ["user.unknown members"]),
        ({"user": {"username": "bob"}, "annotations": {"a": MASS}}, ["annotations"]),
        ({"user": {"username": "bob"}, "sourceIPs": MASS}, ["sourceIPs"]),
        ({"user": {"username": "bob"}, "zz": [[1]] * len(MASS)}, ["unknown members"]),
        ({"user": {"username": "bob"}, "zz": {"a": MASS}}, ["unknown members"]),
    ],
)
def test_masses_outside_the_bodies_go_and_are_named(
    members: dict[str, object], named: list[str]
) -> None:
    line = line_of(**{**members, "requestObject": {"a": 1}})
    [read] = read_line(line)
    assert len(line) > MAX_OUTSIDE_BODIES > len(read.body)
    assert read.fault.split(", ") == named
    assert read.event.user is not None
    assert read.event.user.username == "bob"
    assert json.loads(read.body)["requestObject"] == {"a": 1}


def test_long_texts_and_bodies_stay() -> None:
    line = line_of(userAgent="a,b" * MAX_OUTSIDE_BODIES, requestObject={"x": MASS})
    [read] = read_line(line)
    assert read.body == line
    assert not read.fault


@pytest.mark.parametrize("before", [0, 1 << 20, 2 << 20])
@pytest.mark.parametrize("shift", range(-3, 1))
def test_a_text_is_checked_alike_wherever_its_pieces_end(before: int, shift: int) -> None:
    """A character may lie on the seam of two of them; half of one is none."""
    start = b"x" * max(0, before + shift)
    for end in ("\N{GRINNING FACE}".encode(), b"\xc3\xa9y"):
        check_utf8(start + end)
        for bad in (start + end[:1], start + end[:1] + start, start + b"\xff" + end):
            with pytest.raises(UnicodeDecodeError):
                check_utf8(bad)
