"""What the redaction of one event finds: rules that fire, values that go and may be repeated."""

import binascii
from collections.abc import Callable

from k8s_audit_otlp.event.redact.context import BodyContext
from k8s_audit_otlp.event.splice.tokens import text_of
from k8s_audit_otlp.model import AuditEvent

_FEW = 64  # values that are looked for one by one
_SHORTEST_ECHO = 6  # bytes; a shorter value says nothing, and is found in any text


def _decoded(piece: bytes) -> str:
    """Return what base64 stands for, as the data of a Secret; empty where it is none or no text."""
    try:
        return binascii.a2b_base64(piece, strict_mode=True).decode()
    except ValueError:
        return ""


class Findings:
    """Of one event, so far."""

    __slots__ = ("_texts", "context", "event", "fired", "redacted_values")

    def __init__(self, context: BodyContext, event: AuditEvent | None = None) -> None:
        self.context, self.event = context, event
        self.fired: set[str] = set()
        self.redacted_values: list[bytes] = []  # pieces that were redacted in the bodies
        self._texts: list[str] | None = None

    def users(self) -> list[str]:
        """Return the names of people in the event, which its messages may repeat."""
        users = (self.event.user, self.event.impersonated_user) if self.event else ()
        names = [user.username for user in users if user and user.username]
        return [name for name in names if not name.startswith("system:")]

    def echoed(self) -> list[str]:
        """Return what was redacted, longest first."""
        if self._texts is None:
            texts = {
                text
                for piece in self.redacted_values
                if len(piece) >= _SHORTEST_ECHO
                for text in (text_of(piece), _decoded(piece))
                if len(text) >= _SHORTEST_ECHO
            }
            self._texts = sorted(texts, key=len, reverse=True)
        return self._texts

    def echoed_in(self, text: str, written: Callable[[str], str] = str) -> list[str]:
        """Return what was redacted and the text repeats, longest first.

        *written* says how it stands there. Few of many are looked for whole: those whose beginning
        is in the text, which is looked up.
        """
        if not text:
            return []
        echoes = self.echoed()
        if len(echoes) > _FEW:
            begins = {text[at : at + _SHORTEST_ECHO] for at in range(len(text))}
            echoes = [echo for echo in echoes if written(echo)[:_SHORTEST_ECHO] in begins]
        return [echo for echo in echoes if written(echo) in text]
