"""What one exporter does with an event before it is encoded: policy, then redaction. Pure.

An event is changed, dropped, or leaves as it is (None). Nothing leaves that was not looked at:
what cannot be read for redaction has lost its body when it comes back.
"""

from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.redact.clean_parts import CleanParts
from k8s_audit_otlp.event.shrink import shrink
from k8s_audit_otlp.event.splice.line import rewritten
from k8s_audit_otlp.event.stages import Dropped, Transformed, marks_of_shrinking
from k8s_audit_otlp.model import AuditEvent


class EventProcessor:
    """Policy and redaction of one exporter."""

    def __init__(
        self, policy: Policy | None, redactor: Redactor | None, *, prefix: str = "k8s.audit."
    ) -> None:
        self._policy = policy
        self._redactor = redactor
        self._key = prefix + "redacted"

    def clean_parts(self) -> CleanParts | None:
        """Return what lets an event leave unseen: None where each must be looked at whole."""
        if self._policy is not None or self._redactor is None:
            return None
        return self._redactor.clean_parts(self._key)

    def __call__(self, event: AuditEvent, body: bytes) -> Transformed | Dropped | None:
        before = body
        if self._policy is not None:
            kept = self._policy.apply(event, body)
            if isinstance(kept, Dropped):
                return kept
            event, body = kept
        if self._redactor is None:
            return None if body is before else Transformed(event, body, {})
        if not body.startswith(b"{"):
            return self._text(self._redactor, event, body)
        event, body, fired = self._redactor(event, body)
        if fired:
            return Transformed(event, body, {self._key: fired}, fired)
        return None if body is before else Transformed(event, body, {})

    def _text(self, redactor: Redactor, event: AuditEvent, body: bytes) -> Transformed | None:
        """Redact a line of the legacy format: its text, and the event that was read from it."""
        text, fired_in_text = redactor.redact_text(body.decode("utf-8", "replace"))
        event, _, fired_in_event = redactor(event, rewritten(event))
        fired = tuple(sorted({*fired_in_text, *fired_in_event}))
        if not fired:
            return None
        return Transformed(event, text.encode(), {self._key: fired}, fired)


class Shrinker:
    """Makes an event that is over its limit smaller, and says so in its record."""

    def __init__(self, *, prefix: str = "k8s.audit.") -> None:
        self._prefix = prefix

    def __call__(self, event: AuditEvent, body: bytes, allowed: int) -> Transformed:
        """Shrink to *allowed* bytes of JSON, or as far as who, what and when allow."""
        smaller = shrink(event, body, allowed)
        marks = marks_of_shrinking(self._prefix, smaller.removed, len(body))
        return Transformed(smaller.event, smaller.line, marks)
