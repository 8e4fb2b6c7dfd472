"""Tells which parts of an event leave as they are.

The encoder remembers these verdicts with the part's wire bytes, so that a part that repeats is
judged once. They are the questions of `OutsideBodies.is_clean`, one for each part; together they
must never be more lenient than it.
"""

from collections.abc import Callable

from k8s_audit_otlp.event.redact.clean_body import is_clean
from k8s_audit_otlp.event.redact.outside_bodies import OutsideBodies
from k8s_audit_otlp.event.redact.scan import context_of
from k8s_audit_otlp.event.secrets.grammar import needles_in
from k8s_audit_otlp.model import AuditEvent, ObjectRef, Status, UserInfo

_REQUEST, _RESPONSE = b'"requestObject":', b'"responseObject":'

_RARE = b"J@%="  # tokens begin with eyJ; addresses with a password, escapes and parameters
_MAX_KEPT = 4096
_LONGEST_KEPT = 512  # characters


class _Queries(dict[str, bool]):
    """Query -> does it leave as it is. Clients repeat the same few for ever. Bounded."""

    def __init__(self, judge: Callable[[str], bool]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, query: str) -> bool:
        verdict = "eyJ" not in query and "@" not in query and self._judge("/?" + query)
        if len(query) <= _LONGEST_KEPT:
            if len(self) >= _MAX_KEPT:
                self.clear()
            self[query] = verdict
        return verdict


class CleanParts:
    """The verdicts of one exporter's rules. Not to be used where the rules look at everything."""

    def __init__(self, outside: OutsideBodies) -> None:
        self._outside = outside
        self._texts = outside.texts
        self._queries = _Queries(self._clean_uri)

    def raw(self, part: bytes) -> bool:
        """Judge the bytes of any part: no token, no URL that may carry a password."""
        return b"eyJ" not in part and not (b"@" in part and b"://" in part)

    def path(self, path: bytes) -> bool:
        """Judge what never repeats: a path, a name. Whatever is rare is looked at whole."""
        return len(path.translate(None, _RARE)) == len(path) and b"earer" not in path

    def query(self, query: str) -> bool:
        return self._queries[query]

    def _clean_uri(self, uri: str) -> bool:
        return self._outside.is_clean(AuditEvent(request_uri=uri), b"")

    def bodies(self, line: bytes, request: bytes, response: bytes, ref: ObjectRef | None) -> bool:
        """Judge an event's bodies: no word of the grammar in them, and each once in the line."""
        if ref is None or self._outside.rules_look_at_bodies:
            return False
        if context_of(ref.resource, ref.subresource, ref.api_group).kind:
            return False
        end = 0
        for name, body in ((_REQUEST, request), (_RESPONSE, response)):
            if not body:
                continue
            start = line.find(name, end) + len(name)
            if not line.startswith(body, start) or not is_clean(body):
                return False
            end = start + len(body)
        return line.find(_REQUEST, end) < 0 and line.find(_RESPONSE, end) < 0

    def text(self, text: str) -> bool:
        return not self._texts[text]

    def user(self, user: UserInfo) -> bool:
        """Judge all texts of a user at once; only what may hold something one by one."""
        extra = user.extra or {}
        texts = (user.username, *(text for values in extra.values() for text in values))
        if (
            not needles_in("\n".join(texts))
            and not any(map(self._texts.__getitem__, user.groups or ()))  # these are few
            and not any(map(self._outside.calls_for_a_look, extra))
        ):
            return True
        return self._outside.is_clean(AuditEvent(user=user), b"")

    def status(self, status: Status) -> bool:
        return self._outside.is_clean(AuditEvent(response_status=status), b"")

    def annotations(self, annotations: dict[str, str]) -> bool:
        return self._outside.is_clean(AuditEvent(annotations=annotations), b"")
