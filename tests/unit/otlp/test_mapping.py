"""What of an event becomes an attribute, and under which name."""

from k8s_audit_otlp.event.stages import marks_of_shrinking
from k8s_audit_otlp.otlp.mapping import TABLE, MappingOptions
from tests.kit.pages import attributes_page


def test_the_eleven_plain_names_are_complete() -> None:
    """They are what dashboards of the plain profile rely on."""
    assert {row.key for row in TABLE if row.profile == "plain"} == {
        "kind", "level", "stage", "verb", "auditID", "username", "responseCode", "status",
        "sourceIP_0", "namespace", "node",
    }  # fmt: skip


def test_no_key_is_there_twice() -> None:
    """Profiles can be combined because no name of one is a name of the other."""
    keys = [row.key for row in TABLE]
    assert len(keys) == len(set(keys))


def test_no_name_is_the_namespace_of_another() -> None:
    """A store that makes objects of dotted names can keep only one of the two."""
    marks = marks_of_shrinking("k8s.audit.", (), 0)
    names = {row.key_with("k8s.audit.") for row in TABLE} | marks.keys()
    assert not [name for name in names if any(one.startswith(name + ".") for one in names)]


def test_the_page_has_a_line_for_each_row_of_the_profile() -> None:
    """The documentation comes from the table that maps."""
    page = attributes_page(MappingOptions(prefix="p."))
    assert page.count("\n") == len(TABLE) + 2
    assert "| `p.outcome` | string |" in page
    plain = attributes_page(MappingOptions(profile="plain"))
    assert "`sourceIP_0`" in plain
    assert "`client.address`" not in plain
