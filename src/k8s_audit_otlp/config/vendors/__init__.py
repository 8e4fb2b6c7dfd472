"""Back ends by name: what an exporter to each of them is set to."""

from collections.abc import Mapping
from typing import Final

from k8s_audit_otlp.config.vendors.cloud import CLOUD
from k8s_audit_otlp.config.vendors.preset import Vendor
from k8s_audit_otlp.config.vendors.self_hosted import SELF_HOSTED

VENDORS: Final[Mapping[str, Vendor]] = {row.name: row for row in (*SELF_HOSTED, *CLOUD)}
