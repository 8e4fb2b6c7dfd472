"""The `audit::limits` block: what the back end takes at most. Values only."""

from typing import Literal

from k8s_audit_otlp.config.blocks import Block, key
from k8s_audit_otlp.config.types import Bytes, Seconds, Texts
from k8s_audit_otlp.otlp.limits import AttributeLimits, Limits

LEAST_ATTRIBUTES = 64  # every row of the mapping has room; fewer would cut who, what or when


class LimitsBlock(Block):
    """What the back end takes at most; a vendor's preset fills it in."""

    max_request_bytes: Bytes | None = key(
        None, "Uncompressed bytes of a request, whatever sending_queue says."
    )
    max_request_records: int | None = key(
        None, "Records of a request, whatever sending_queue says.", ge=1
    )
    max_time_span_s: Seconds = key(
        "0s",
        "Longest time between the events of one request; 0 is no limit.",
        alias="max_time_span",
    )
    max_age_s: Seconds = key(
        "0s", "Age of the oldest event that is taken; 0 is no limit.", alias="max_age"
    )
    max_attributes: int | None = key(
        None, "Attributes of a record; annotations are left out first.", ge=LEAST_ATTRIBUTES
    )
    max_attribute_name_bytes: Bytes | None = key(None, "Length of an attribute's name.", ge=64)
    max_attribute_bytes: Bytes | None = key(None, "Length of an attribute's text.", ge=64)
    max_list_items: int | None = key(None, "Items of a list in an attribute.", ge=1)
    lists: Literal["keep", "json"] = key("keep", "Lists as they are, or as JSON text.")
    names: Literal["dotted", "flat"] = key(
        "dotted", "Attribute names as they are, or with _ in place of dots."
    )
    reserved_names: Texts = key(
        (), "Attribute names that mean something else to the back end; they get the prefix."
    )

    @property
    def limits(self) -> Limits:
        return Limits(
            AttributeLimits(
                self.max_attributes or 0,
                self.max_attribute_name_bytes or 0,
                self.max_attribute_bytes or 0,
                self.max_list_items or 0,
                self.lists == "json",
                self.names == "flat",
                frozenset(self.reserved_names),
            ),
            self.max_request_bytes or 0,
            self.max_request_records or 0,
            self.max_time_span_s,
            self.max_age_s,
        )
