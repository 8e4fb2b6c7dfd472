"""The Pipeline for DataKit asks for nothing that the agent does not send."""

import re
from pathlib import Path

from k8s_audit_otlp.otlp.mapping import TABLE

GUANCE = Path(__file__).parents[3] / "deploy/guance"
STEPS = re.compile(r'set_tag\((\w+)\)|cast\((\w+), "(?:int|float)"\)|add_key\((\w+), ""\)')
TESTS = re.compile(r"if (?:kind == \"Event\" && )?(\w+) [!=]= nil \{|\}")


def test_every_field_of_the_pipeline_is_sent() -> None:
    """DataKit writes _ for dots; every line is a known call, and none reads JSON."""
    page = (GUANCE.parents[1] / "otel-config/attributes.md").read_text()
    sent = {row.key_with("k8s.audit.").replace(".", "_") for row in TABLE} | {"atype"}
    families = re.findall(r"`(k8s\.audit\.(?:segment|gap)\.)", page)
    lines = [line.strip() for line in (GUANCE / "k8s-audit.p").read_text().splitlines()]
    for line in lines:
        if line.startswith("#") or not line:
            continue
        found = STEPS.fullmatch(line) or TESTS.fullmatch(line)
        assert found, line
        name = next(filter(None, found.groups()), "atype")
        family = name.startswith(tuple(one.replace(".", "_") for one in families))
        last = name.partition("segment_")[2] or name.partition("gap_")[2]
        assert name in sent or (family and f".{last}`" in page), name
