"""A body that is redacted part by part becomes what it becomes when it is read as a whole."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.redact import RedactionRules, Redactor
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.redact.repeated_parts import PartRedactor
from k8s_audit_otlp.event.secrets.prefilter import look
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.splice.tokens import UnreadableError
from k8s_audit_otlp.model import EMPTY
from tests.kit.log.planted import PlantedLines
from tests.unit.event.redact.redact_lines import CountingRedactor

_bodies_of = msgspec.json.Decoder(
    msgspec.defstruct(
        "Bodies",
        [("requestObject", msgspec.Raw, EMPTY), ("responseObject", msgspec.Raw, EMPTY)],
    )
).decode


def redacted(redactor: BodyRedactor, body: bytes, *, whole: bool) -> tuple[object, ...]:
    found = Findings(BodyContext())
    try:
        new = redactor._whole(body, found) if whole else redactor(body, found)
    except (UnreadableError, LookupError):
        return ("unreadable",)
    return json.loads(new), found.fired, sorted(found.redacted_values)


def bodies_of(line: bytes) -> list[bytes]:
    try:
        event: Any = _bodies_of(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [bytes(body) for body in (event.requestObject, event.responseObject) if bytes(body)]


@pytest.mark.parametrize("key", [b"", b"a key of thirty-two bytes or more"])
def test_planted_bodies_become_the_same_by_parts_and_as_a_whole(key: bytes) -> None:
    """With a mask and with pseudonyms; the second time, every part has been seen."""
    make = PlantedLines(7)
    by_parts, whole = (
        BodyRedactor(RedactionRules(key=key), Replacement(key or None)) for _ in range(2)
    )
    taken = 0
    for _ in range(2000):
        for body in bodies_of(make().line):
            if look(body)[1]:
                taken += 1
                expected = redacted(whole, body, whole=True)
                assert redacted(by_parts, body, whole=False) == expected
                assert redacted(by_parts, body, whole=False) == expected
    assert taken > 500


NAMES = st.sampled_from((
    *("name", "value", "key", "data", "kind", "token", "tokens", "env", "args", "command", "spec"),
    *("items", "default", "secretKey", "remoteRef", "labels", "message", "note", "password"),
    *("valueFrom", "openAPIV3Schema", "metadata", "httpHeaders"),
    *("columnDefinitions", "rows", "cells"),
))  # fmt: skip
TEXTS = st.sampled_from(
    [
        "x",
        "PASSWORD",
        "hunter2-hunter2",
        "password=hunter2",
        '{"token":"abcdefgh"}',
        "Pod",
        "--token",
        "a b",
    ]
)
VALUES = st.recursive(
    TEXTS | st.integers(0, 99) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1), min_size=1, max_size=4))
def test_any_bodies_become_the_same_by_parts_and_as_a_whole(bodies: list[object]) -> None:
    """Whatever stands beside, above and below what."""
    by_parts, whole = (BodyRedactor(RedactionRules(), Replacement(None)) for _ in range(2))
    for one in bodies:
        body = json.dumps(one, separators=(",", ":")).encode()
        if look(body)[1]:
            assert redacted(by_parts, body, whole=False) == redacted(whole, body, whole=True)


ITEMS = st.dictionaries(NAMES, VALUES | st.just("Secret"), min_size=1, max_size=3)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.lists(ITEMS, min_size=1, max_size=4), min_size=2, max_size=5))
def test_a_list_becomes_the_same_by_its_items_and_as_a_whole(lists: list[object]) -> None:
    """Of items that were seen only the verdict counts, whatever is new beside them."""
    by_parts, whole = (BodyRedactor(RedactionRules(), Replacement(None)) for _ in range(2))
    for items in (*lists, *reversed(lists)):
        head = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}}
        body = json.dumps({**head, "items": items}, separators=(",", ":")).encode()
        part = by_parts._parts.of_list(body)
        if part is not None:
            found = Findings(BodyContext())
            assert (part.new or body) == whole._whole(body, found)
            assert part.fired == found.fired
            assert {*part.redacted_values} == found.redacted_values


def test_a_list_with_anything_beside_its_items_is_read_otherwise() -> None:
    parts = BodyRedactor(RedactionRules(), Replacement(None))._parts
    head = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},'
    assert parts.of_list(head + b'"items":[{"a":"b"}]}') is not None
    for rest in (
        b'"items":[{"a":"b"}],"value":"x"}',
        b'"value":"x","items":[{"a":"b"}]}',
        b'"items":[{"a":"b"},"--token"]}',
        b'"items":[{"a":"b"}, {"a":"b"}]}',
        b'"items":[{"kind":"Secret"},{"data":{"a":"b"}}]}',
        b'"items":[]}',
    ):
        assert parts.of_list(head + rest) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"Secret","spec":{"data":{"a":"aHVudGVyMg=="}}}',
        b'{"spec":[{"op":"add","path":"/data/a","value":"hunter2-hunter2"}]}',
        b'{"kind":"\\u0053ecret","spec":{"data":{"a":"aHVudGVyMg=="}}}',
    ],
    ids=["kind", "patch", "escaped"],
)
def test_what_members_mean_to_one_another_is_read_as_a_whole(body: bytes) -> None:
    """A kind that makes data secret, a path that judges the value beside it."""
    assert not look(body)[1]
    new = BodyRedactor(RedactionRules(), Replacement(None))(body, Findings(BodyContext()))
    assert b"hunter2-" not in new
    assert b"aHVudGVyMg" not in new


@pytest.mark.parametrize(("values", "size"), [(1, 800), (400, 800), (3000, 800)])
def test_what_is_remembered_is_bounded(values: int, size: int) -> None:
    """By its bytes, however many parts there are, and by those of the values taken out of them."""
    bodies = Redactor()._bodies
    rest = b",".join([b'"%s"' % (b"x" * size)] * values)
    for n in range(4000 // values + 4):
        body = b'{"spec":{"args":["%d",%s]}}' % (n, rest)
        bodies(body, Findings(BodyContext()))
    for known in (bodies._parts._small, bodies._parts.large):
        held = sum(
            len(key) + len(part.new or b"") + sum(map(len, part.redacted_values))
            for key, part in known.items()
        )
        assert held <= 3 << 20


def test_a_large_part_that_was_seen_is_not_read_again() -> None:
    """The names in it are not asked about, and what becomes of it is the same."""
    variables = b",".join(b'{"name":"V%d","value":"hunter2-%d"}' % (n, n) for n in range(2000))
    body = b'{"metadata":{"uid":"%d"},"spec":{"containers":[{"env":[%s]}]}}'
    redactor = BodyRedactor(RedactionRules(), Replacement(None))
    whole = redactor._whole
    read: list[int] = []

    def counted(part: bytes, found: Findings) -> bytes:
        read.append(len(part))
        return whole(part, found)

    redactor._parts = PartRedactor(counted, redactor._plain, redactor._is_harmless)
    found = [Findings(BodyContext()), Findings(BodyContext())]
    first, second = (redactor(body % (n, variables), found[n]) for n in range(2))
    assert b"hunter2" not in first
    assert second == first.replace(b'"uid":"0"', b'"uid":"1"')
    assert found[1].redacted_values == found[0].redacted_values
    assert len(read) == 1


@pytest.mark.parametrize("key", [b"", b"a key of thirty-two bytes or more"])
def test_a_large_secret_that_was_seen_is_not_read_again(key: bytes) -> None:
    """As whoever lists them gets it; what it becomes depends on what it is asked for as."""
    data = {f"k{n}": f"aHVudGVyMg{n}==" for n in range(300)}
    body = json.dumps({"metadata": {"name": "x"}, "data": data}, separators=(",", ":")).encode()
    seen, new = (CountingRedactor(RedactionRules(key=key), Replacement(key or None)) for _ in "ab")
    for times, kind in enumerate(("secret", "configmap", "template"), 1):
        for _ in range(2):
            found = [Findings(BodyContext("x", kind)) for _ in range(2)]
            assert seen(body, found[0]) == new._whole(body, found[1])
            assert found[0].fired == found[1].fired
            assert found[0].redacted_values == found[1].redacted_values
        assert seen.read == times


@pytest.mark.parametrize("kind", ["", "configmap"])
def test_a_small_body_that_was_seen_is_not_read_again(kind: str) -> None:
    """Also a list of kinds of objects, among which is one that holds secrets."""
    resources = [{"name": "secrets", "kind": "Secret"}, {"name": "a", "kind": "A", "args": ["b"]}]
    data = {"a": "hunter2-hunter2"}
    body = json.dumps({"resources": resources, "data": data}, separators=(",", ":")).encode()
    assert look(body) == (False, False)
    seen, new = (CountingRedactor(RedactionRules(), Replacement(None)) for _ in "ab")
    for _ in range(3):
        found = [Findings(BodyContext("x", kind)) for _ in range(2)]
        assert seen(body, found[0]) == new._whole(body, found[1])
        assert found[0].fired == found[1].fired
        assert found[0].redacted_values == found[1].redacted_values
    assert seen.read == 1


def test_a_large_value_is_remembered_once_for_all_bodies_that_have_it() -> None:
    """What was asked for, the answer and what others are answered differ around it."""
    value, bodies = "x" * 900_000, CountingRedactor(RedactionRules(), Replacement(None))
    for n in (*range(6), *range(6)):
        body = b'{"metadata":{"uid":"%d"},"data":{"a":"%s"}}' % (n, value.encode())
        found = Findings(BodyContext("configmaps", "configmap"))
        assert len(bodies(body, found)) < 99
        assert found.redacted_values == {value.encode()}
    assert bodies.read == 6


def test_what_was_taken_out_before_a_body_could_not_be_followed_is_known() -> None:
    """A message may repeat it."""
    body = b'{"data":{"a":"hunter2-hunter2"},"note":"\\q password: x"}'
    redactor = BodyRedactor(RedactionRules(), Replacement(None))
    found = [Findings(BodyContext("x", "configmap")) for _ in range(2)]
    with pytest.raises(UnreadableError):
        redactor(body, found[0])
    with pytest.raises(UnreadableError):
        redactor._whole(body, found[1])
    assert found[0].redacted_values == found[1].redacted_values == {b"hunter2-hunter2"}
    assert found[0].fired == found[1].fired


def table(column: str, cell: str) -> bytes:
    """Return an answer to `kubectl get`."""
    told = "Secret: what pods need to ask with a token, see https://kubernetes.io/docs/ " * 4
    columns = [{"name": "Name", "description": told}, {"name": column, "description": told}]
    rows = [{"cells": ["web-1", cell], "object": {"metadata": {"name": "web-1"}}}]
    body = {"kind": "Table", "columnDefinitions": columns, "rows": rows}
    return json.dumps(body, separators=(",", ":")).encode()


def test_columns_that_were_seen_are_not_read_again() -> None:
    """The rows of a table are new each time; what its columns are is not."""
    redactor = BodyRedactor(RedactionRules(), Replacement(None))
    whole, read = redactor._whole, 0

    def counted(part: bytes, found: Findings) -> bytes:
        nonlocal read
        read += 1
        return whole(part, found)

    redactor._parts = PartRedactor(counted, redactor._plain, redactor._is_harmless)
    first, second = table("Age", "5m"), table("Age", "6m")
    assert look(first) == (False, True)
    assert redactor(first, Findings(BodyContext())) is first
    read = 0
    assert redactor(second, Findings(BodyContext())) is second
    assert read == 0


@pytest.mark.parametrize("column", ["Password", "Token", "Age"])
@pytest.mark.parametrize("cell", ["hunter2-Xk29pQ7w", "web-2", "5m"])
def test_a_cell_is_judged_by_the_name_of_its_column(column: str, cell: str) -> None:
    by_parts, whole = (BodyRedactor(RedactionRules(), Replacement(None)) for _ in range(2))
    body = table(column, cell)
    expected = redacted(whole, body, whole=True)
    assert redacted(by_parts, body, whole=False) == expected
    if "hunter2" in cell:
        assert (expected[1] == {"key"}) == (column != "Age")


def test_a_long_text_that_was_seen_is_not_judged_again() -> None:
    """Whatever its words: it is known by its digest."""
    asked: list[bytes] = []

    def is_harmless(text: bytes) -> bool:
        asked.append(text)
        return True

    redactor = BodyRedactor(RedactionRules(), Replacement(None))
    parts = PartRedactor(redactor._whole, redactor._plain, is_harmless)
    for _ in range(3):
        assert parts(b'{"note":"%s"}' % (b"long " * 100)).new is None
    assert len(asked) == 1
