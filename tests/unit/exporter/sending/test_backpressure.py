"""Whether an exporter may send something new, and who keeps it from that."""

from k8s_audit_otlp.exporter.backpressure import Budget, Gate


def test_the_gate_opens_when_the_last_one_leaves() -> None:
    """Two in back-off, and somebody who stalls."""
    opened = []
    gate = Gate(lambda: opened.append(1))
    with gate.backing_off("503", 1), gate.backing_off("503", 1):
        gate.stall("dead letter", "full")
        assert gate.waiting == 2
    assert not gate.open
    assert opened == []
    assert gate.stalled == "full"
    gate.stall("dead letter", "")
    assert gate.open
    assert opened == [1]


def test_each_who_stalls_must_take_it_back() -> None:
    """One that is content does not open for the other."""
    gate = Gate(lambda: None)
    gate.stall("a", "one")
    gate.stall("b", "two")
    gate.stall("a", "")
    assert gate.stalled == "two"
    gate.stall("b", "")
    assert gate.open


def test_the_end_of_a_stall_opens_for_nobody_while_a_request_backs_off() -> None:
    """What is new would go past the request that is to be repeated."""
    opened = []
    gate = Gate(lambda: opened.append(1))
    gate.stall("dead letter", "full")
    with gate.backing_off("503", 1):
        gate.stall("dead letter", "")
        assert opened == []
    assert opened == [1]


def test_the_next_try_is_that_of_the_request_that_is_repeated_first() -> None:
    """Whichever began to wait last; and once it is sent, the next one's."""
    gate = Gate(lambda: None, clock=lambda: 100.0)
    with gate.backing_off("503", 30):
        assert gate.retry_at == 130
        with gate.backing_off("503", 5):
            assert gate.retry_at == 105
            with gate.backing_off("503", 60):
                assert gate.retry_at == 105
        assert gate.retry_at == 130
    assert gate.retry_at == 0


def test_taking_back_what_was_never_said_wakes_nobody() -> None:
    """It is said once a second."""
    opened = []
    gate = Gate(lambda: opened.append(1))
    gate.stall("a", "")
    assert opened == []


def test_who_holds_nothing_is_let_in_whatever_others_hold() -> None:
    """An exporter that is down, or one huge record, stops no other."""
    budget = Budget(100)
    assert budget.admit("down", 100)
    assert not budget.admit("down", 1)
    assert budget.admit("up", 500)
    assert not budget.admit("up", 1)
    budget.release("up", 500)
    assert budget.admit("up", 1)


def test_what_is_given_back_can_be_taken_again() -> None:
    """Up to the last byte."""
    budget = Budget(100)
    assert budget.admit("a", 60)
    assert not budget.admit("a", 41)
    assert budget.admit("a", 40)
    budget.release("a", 40)
    assert budget.admit("a", 40)


def test_a_request_without_an_answer_is_timed_from_the_last_answer() -> None:
    """A back end that answers others is there; one that answers nobody may hang."""
    now = 100.0
    gate = Gate(lambda: None, clock=lambda: now)
    assert gate.unanswered_s is None
    with gate.asking():
        now = 107.0
        assert gate.unanswered_s == 7.0
        gate.acknowledged()
        now = 109.0
        assert gate.unanswered_s == 2.0
    assert gate.unanswered_s is None
