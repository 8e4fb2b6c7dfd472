"""The byte budget that all exporters share."""

from k8s_audit_otlp.exporter.budget import Budget


def test_who_holds_nothing_is_let_in_whatever_others_hold():
    """An exporter that is down, or one huge record, stops no other."""
    budget = Budget(100)
    assert budget.admit("down", 100)
    assert not budget.admit("down", 1)
    assert budget.admit("up", 500)
    assert not budget.admit("up", 1)
    budget.release("up", 500)
    assert budget.admit("up", 1)


def test_what_is_given_back_can_be_taken_again():
    """Up to the last byte."""
    budget = Budget(100)
    assert budget.admit("a", 60)
    assert not budget.admit("a", 41)
    assert budget.admit("a", 40)
    budget.release("a", 40)
    assert budget.admit("a", 40)
