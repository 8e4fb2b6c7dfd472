"""Back ends by name: what an exporter to each of them is set to."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

import yaml

from k8s_audit_otlp.config.vendors.preset import Header, Vendor


def _rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = files(__name__).joinpath("vendors.yaml").read_text(encoding="utf-8")
    # libyaml's loader where there is one: it takes a fortieth of the time
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    tree = yaml.load(text, Loader=loader)  # noqa: S506 - either is safe
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
