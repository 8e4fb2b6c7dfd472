"""Where a record lies on disk, in its attributes: the same however far its block goes on."""

from hypothesis import example, given
from hypothesis import strategies as st

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.record_place import RecordPlace, record_uid

ENCODERS = {
    name: lambda value, name=name: wire.attribute(name, value)
    for name in ("uid", "offset", "file", "file_path")
}


def place() -> RecordPlace:
    return RecordPlace(
        Block(Span(1, 0, 1 << 40), "0123456789abcdef", "audit.log", b"", 7), ENCODERS
    )


@given(st.lists(st.integers(0, 1 << 36), min_size=1, max_size=8).map(sorted))
@example([4200, 16_383, 16_384])  # one more group of seven bits, and no digit more
@example([0, 15, 16, 127, 128, 255, 256])
def test_what_is_built_once_says_the_same_as_what_is_built_for_one_line(offsets: list[int]) -> None:
    """Digits in the uid and groups of the offset grow at different places."""
    going_on = place()
    for offset in offsets:
        alone = place().at(offset)
        assert going_on.at(offset) == alone
        assert going_on.item(offset) == alone


def test_an_item_of_a_list_has_its_number_behind_the_place() -> None:
    """Its offset is that of the line."""
    assert record_uid("0123456789abcdef", 255) == "0123456789abcdef-ff"
    assert record_uid("0123456789abcdef", 255, 3) == "0123456789abcdef-ff.3"
    assert wire.attribute("offset", 255) in place().item(255, 3)
