"""A plain line lets no more leave than the general path does, which judges the event whole."""

import re

import pytest

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.redact.rules import OwnRule, RedactionRules
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit import strategies
from tests.kit.strategies import as_written
from tests.unit.otlp.test_fast_path import JWT, both, planted


@pytest.mark.parametrize(
    "chosen",
    ["token:hunter22hunter22", "{'password':'hunter22hunter22'}", "c2VjcmV0OmFiY2RlZmdoaWprbG0="],
)
def test_an_audit_id_that_a_client_chose_is_judged_as_a_text(chosen: str) -> None:
    """Names of objects are judged by less, because they may have a colon."""
    fast, general = both(as_written(planted(("auditID",), chosen)))
    assert fast == general
    assert chosen.encode() not in fast[0]


@pytest.mark.parametrize("holder", ["annotations", "responseStatus"])
def test_a_member_named_as_the_address_hides_nothing(holder: str) -> None:
    """The address is judged apart: the true one, not what a webhook calls so."""
    line = as_written(planted((holder, "requestURI"), "/x?password=hunter22hunter22"))
    fast, general = both(line)
    assert fast == general
    assert b"hunter22" not in fast[0]


@pytest.mark.parametrize(
    "uri",
    [
        "/x/proxy/http://alice:hunter22?hunter22@host/", "/x/alice:hunter22?hunter22@host/",
        "/x/Cookie:?hunter22hunter22", "/x;token=?hunter22hunter22", "/thin:a/hunter22?hunter22@b",
        "/x/authorization: digest ?hunter22hunter22", "/basic?hunter22hunter22",
    ],
)  # fmt: skip
def test_a_value_that_begins_in_the_path_may_end_in_the_query(uri: str) -> None:
    """The two are judged apart by the fast path, and yet as one."""
    fast, general = both(as_written(planted(("requestURI", "{}"), uri)))
    assert fast == general


@pytest.mark.parametrize("null", ["requestObject", "responseObject"])
def test_a_body_that_is_null_beside_one_that_has_its_name_inside(null: str) -> None:
    """Where another member is of a wrong type, too, so that the event is read leniently."""
    other = {"requestObject": "responseObject", "responseObject": "requestObject"}[null]
    event = {**planted(("level",), "RequestResponse"), "user": {"username": ["alice"]}}
    body = {other: None, "password": "hunter22hunter22"}
    fast, general = both(as_written({**event, null: None, other: body}))
    assert fast == general
    assert b"hunter22" not in fast[0]


@pytest.mark.parametrize("path", ["/xAKIAIOSFODNN7EXAMPLE", "/x/AKIAIOSFODNN7EXAMPLE"])
def test_a_name_that_is_only_part_of_a_step_is_judged_by_itself(path: str) -> None:
    """A token shows itself by how its word begins."""
    event = planted(("objectRef", "name"), "AKIAIOSFODNN7EXAMPLE")
    fast, general = both(as_written({**event, "requestURI": path}))
    assert fast == general


def test_names_of_an_operators_rule_are_names_in_bodies() -> None:
    """Whatever else of the event is redacted, or not."""
    rule = OwnRule("mine", keys=re.compile("namespace|stage|reason"))
    processor = EventProcessor(None, Redactor(RedactionRules(own=(rule,))))
    fast = Encoder(transform=processor, clean=processor.clean_parts())
    for agent in ("kubectl", JWT):
        event = planted(("responseStatus", "reason"), "Mine")
        block = strategies.blocks_of([as_written({**event, "userAgent": agent})])
        encoded = fast.encode_block(block)
        assert encoded.records == Encoder(transform=processor).encode_block(block).records
        assert b"Mine" in encoded.records[0]
        assert "mine" not in encoded.redacted
