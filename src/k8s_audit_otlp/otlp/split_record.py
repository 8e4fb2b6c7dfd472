"""Halves a record that was refused as too large. The slow path.

Its event is shrunk as `event.shrink` does, then what is long in its attributes is cut. Who, what
and when stay, and so does the uid: it is the same record, with less of what was said.
"""

from collections.abc import Mapping

from k8s_audit_otlp.event.decode import NO_EVENT, read_line
from k8s_audit_otlp.event.processor import Shrinker
from k8s_audit_otlp.event.shrink import limit_text
from k8s_audit_otlp.event.stages import marks_of_shrinking
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.attributes_sum import SumLimiter, items_of, value_of
from k8s_audit_otlp.otlp.limits import AttributeLimiter, AttributeLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions, limiter_of

# Bytes of an attribute's text and items of its lists that stay, tried in this order.
_STEPS = ((4096, 64), (1024, 16), (256, 8), (128, 4))

_Attributes = dict[str, wire.Value]


class RecordSplitter:
    """Makes records of one mapping smaller."""

    def __init__(self, options: MappingOptions) -> None:
        self._prefix = prefix = options.prefix
        self._shrink = Shrinker(prefix=prefix)
        self._sum = SumLimiter(options)
        self._limiter = limiter_of(options) or AttributeLimiter(options.limits, prefix)
        self._removed, self._original = self._limiter.names(
            [f"{prefix}truncation.removed", f"{prefix}truncation.original_bytes"]
        )

    def __call__(self, record: bytes) -> bytes | None:
        """Return a record of three quarters or less, None where it cannot get that small."""
        # Imported late: most runs never need it, and the messages are slow to load.
        from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs  # noqa: PLC0415

        logs = ScopeLogs.FromString(record)
        [message] = logs.log_records
        body = message.body.string_value
        size = len(body.encode())
        beside = len(record) - size
        message.body.string_value, marks = self._smaller(
            body, size, max(len(record) // 2 - beside, size // 4)
        )
        attributes = {pair.key: value_of(pair.value) for pair in message.attributes}
        attributes |= self._marks(attributes, marks)
        pairs, cuts = self._sum.fit(list(attributes.items()))
        message.dropped_attributes_count += cuts
        for value_bytes, items in ((0, 0), *_STEPS):
            cut = AttributeLimiter(AttributeLimits(value_bytes=value_bytes, list_items=items), "")
            del message.attributes[:]
            message.MergeFromString(wire.attributes(dict(cut(pairs))))
            smaller: bytes = logs.SerializeToString()
            if len(smaller) <= len(record) * 3 // 4:
                return smaller
        return None

    def _smaller(self, body: str, size: int, allowed: int) -> tuple[str, Mapping[str, wire.Value]]:
        """Shrink a body; say how in attributes."""
        found = read_line(body.encode())
        if len(found) == 1 and found[0].fault != NO_EVENT and found[0].body.startswith(b"{"):
            shrunk = self._shrink(found[0].event, found[0].body, allowed)
            return shrunk.body.decode(), shrunk.attributes
        if body.startswith(("{", "[")):  # a part of it would be no JSON
            smaller = f"[removed, {size} bytes are too large]"
        else:
            smaller = limit_text(body, allowed)
        return smaller, marks_of_shrinking(self._prefix, ("body",), size)

    def _marks(self, attributes: _Attributes, marks: Mapping[str, wire.Value]) -> _Attributes:
        """Add to what an earlier shrinking said."""
        marks = dict(self._limiter(marks.items()))
        if self._removed in attributes:
            gone = items_of(attributes[self._removed]) + items_of(marks[self._removed])
            marks[self._removed] = self._limiter.value(list(dict.fromkeys(gone)))
        if self._original in attributes:
            marks[self._original] = attributes[self._original]
        return marks
