"""Back ends by name: what an exporter to each of them is set to."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from k8s_audit_otlp.config.reading.document import packaged_yaml
from k8s_audit_otlp.config.vendors.preset import Header, Vendor


def _rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
    tree = packaged_yaml(__name__, "vendors.yaml")
    for group in ("self_hosted", "services"):
        yield from tree[group].items()


def _vendor(name: str, row: Mapping[str, Any]) -> Vendor:
    """Make lists what they are in a `Vendor`; a list of quirks may stand within another one."""
    quirks = ([one] if isinstance(one, str) else one for one in row.get("quirks", ()))
    lists = {
        "headers": tuple(Header(**header) for header in row.get("headers", ())),
        "quirks": tuple(quirk for part in quirks for quirk in part),
    }
    for key in {"compressions", "retry_codes"} & row.keys():
        lists[key] = tuple(row[key])
    return Vendor(**{**row, **lists, "name": name})


VENDORS: Final[Mapping[str, Vendor]] = {name: _vendor(name, row) for name, row in _rows()}
