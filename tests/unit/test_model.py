"""The values that flow: what of them has behaviour."""

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.model import LogKey


@given(st.text(), st.text())
def test_a_log_key_survives_the_disk(receiver: str, path: str) -> None:
    """Whatever the receiver is called, and whatever the path."""
    assert LogKey.parse(str(LogKey(receiver, path))) == (receiver, path)


def test_a_plain_log_key_reads_as_it_is_written() -> None:
    assert str(LogKey("k8s_audit/edge", "/log/a:b%.log")) == "k8s_audit/edge:/log/a:b%.log"
