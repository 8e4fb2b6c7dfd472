"""What is left of an event that is too long to be sent."""

import pytest

from k8s_audit_otlp.receiver.long_lines import without_bodies


def test_a_body_that_holds_what_ends_an_event_is_left_out_whole() -> None:
    """An audit log may be about objects that are events themselves, or look like them."""
    end = b',"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026"}'
    tail = b'{"a":1' + end + b',"password":"hunter2"' + end
    assert without_bodies(b'{"kind":"Event","requestObject":{', tail) == b'{"kind":"Event"' + end


@pytest.mark.parametrize("whose", ["user", "impersonatedUser"])
def test_who_calls_a_part_of_an_identity_like_a_body_is_told_all_the_same(whose: str) -> None:
    """Or whoever may impersonate could hide from the log with a long body."""
    extra = (
        b'"%b":{"username":"mallory","extra":{"a":["b"],"requestObject":["x"]}}' % whose.encode()
    )
    head = b'{"kind":"Event","auditID":"a",' + extra + b',"verb":"create"'
    end = b',"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026"}'
    assert without_bodies(head + b',"requestObject":{"data":"xx', b'xx"}' + end) == head + end


def test_without_both_ends_nothing_is_made_up() -> None:
    """The head as it is, no event: but no silence either."""
    assert without_bodies(b'{"a":1', b'"b":2}') == b'{"a":1'
