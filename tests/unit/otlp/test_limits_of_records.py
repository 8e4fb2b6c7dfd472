"""Records keep the limits of a back end, on the fast path and on the general one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.stages import Transformed
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.limits import UID, AttributeLimiter, AttributeLimits
from k8s_audit_otlp.otlp.mapping import PARTS, MappingOptions, keys_of
from tests.kit import reference, strategies

PROFILES = st.sampled_from(["default", "plain", "semconv"])
LIMITS = st.builds(
    AttributeLimits,
    name_bytes=st.sampled_from([0, 64, 100]),
    value_bytes=st.sampled_from([0, 64, 65, 127]),
    list_items=st.integers(0, 3),
    lists_as_json=st.booleans(),
    flat_names=st.booleans(),
    reserved=st.sets(st.sampled_from(["level", "status", "user.name", "url.path", "auditID"])),
)


def attributes_of(
    lines: list[bytes], options: MappingOptions, **edges: Any
) -> list[dict[str, Any]]:
    encoded = Encoder(options, **edges).encode_block(strategies.blocks_of(lines))
    return [record["attributes"] for record in strategies.read(encoded)]


@settings(max_examples=100, deadline=None)
@given(st.one_of(strategies.plain_events, strategies.events), PROFILES, LIMITS)
def test_a_record_says_what_fits_of_what_the_event_says(
    event: Any, profile: Any, limits: Any
) -> None:
    """The reference's attributes, renamed and cut, and nothing else."""
    line = json.dumps(event).encode()
    unlimited = MappingOptions(profile)
    taken = {key for part in PARTS for key in keys_of(part, unlimited)}
    limiter = AttributeLimiter(limits, unlimited.prefix, taken)
    place = (strategies.IDENTITY, 0, strategies.FILE, strategies.OBSERVED)
    wanted = dict(limiter(reference.from_line(line, place, profile)["attributes"].items()))
    [found] = attributes_of([line], MappingOptions(profile, limits=limits))
    fault = limiter.name("k8s.audit.parse_error")
    assert {k: v for k, v in found.items() if k != fault} == wanted


@settings(max_examples=60, deadline=None)
@given(
    strategies.events,
    st.dictionaries(st.text(min_size=1, max_size=9), strategies.text.filter(bool), max_size=40),
    st.integers(64, 80),
)
def test_a_record_has_no_more_attributes_than_the_back_end_takes(
    event: Any, many: Any, count: int
) -> None:
    """Annotations and extras give way; who, what and when stay."""
    event = {**event, "annotations": {f"k8s.io/{k}": v for k, v in many.items()}}
    event["user"] = {"username": "u", "extra": {k: ["x"] for k in many}}
    limits = AttributeLimits(count=count)
    options = MappingOptions(user_extra=("*",), limits=limits)
    marks: dict[str, Any] = {"k8s.audit.redacted": ["a"], "k8s.audit.truncated": True}
    marks |= {"k8s.audit.truncation.removed": ["b"], "k8s.audit.truncation.original_bytes": 1}
    [found] = attributes_of(
        [json.dumps(event).encode()],
        options,
        transform=lambda event, body: Transformed(event, body, marks),
    )
    assert len(found) <= count
    assert found[UID]
    assert found["username"] == found["user.name"] == "u"


def test_what_does_not_fit_is_counted_as_left_out() -> None:
    """The record says that the event had more."""
    line = strategies.line_of(annotations={f"k8s.io/{n}": "x" for n in range(30)})
    options = MappingOptions(limits=AttributeLimits(count=70))
    [record] = strategies.read(Encoder(options).encode_block(strategies.blocks_of([line])))
    notes = [key for key in record["attributes"] if key.startswith("k8s.audit.annotation.")]
    assert record["dropped"] == 30 - len(notes) > 0


def test_marks_keep_the_limits_as_well() -> None:
    """What a stage says about an event is an attribute like the others."""
    limits = AttributeLimits(lists_as_json=True, flat_names=True)
    [found] = attributes_of(
        [strategies.line_of()],
        MappingOptions(limits=limits),
        transform=lambda event, body: Transformed(event, body, {"k8s.audit.redacted": ["a", "b"]}),
    )
    assert found["k8s_audit_redacted"] == '["a","b"]'


@pytest.mark.parametrize("field", ["auditID", "requestURI", "userAgent", "verb"])
def test_a_value_is_cut_between_characters_on_either_path(field: str) -> None:
    """No attribute holds half a character, and the body is whole."""
    line = strategies.line_of(**{field: "é" * 40})
    options = MappingOptions(limits=AttributeLimits(value_bytes=65))
    [record] = strategies.read(Encoder(options).encode_block(strategies.blocks_of([line])))
    cut = [v for v in record["attributes"].values() if isinstance(v, str) and "é" in v]
    assert cut
    assert set(cut) == {"é" * 32}
    assert record["body"] == line.decode()
