"""Tells which parts of an event leave as they are.

The encoder remembers these verdicts with the part's wire bytes, so that a part that repeats is
judged once. Together they must never be more lenient than `OutsideBodies`.
"""

import re
from collections.abc import Callable, Sequence

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.redact.context import BodyContext, Findings, context_about
from k8s_audit_otlp.event.redact.embedded import PACKED
from k8s_audit_otlp.event.redact.outside_bodies import OutsideBodies
from k8s_audit_otlp.event.secrets.prefilter import FORMS, first_form, is_clean, needles_in_bytes
from k8s_audit_otlp.event.secrets.uri import is_plain_query
from k8s_audit_otlp.event.splice.lists import check_json
from k8s_audit_otlp.event.stages import Bodies
from k8s_audit_otlp.model import AuditEvent, ObjectRef, Status

_REQUEST, _RESPONSE = b'"requestObject":', b'"responseObject":'

# Of addresses with a password, escapes, parameters, words, JSON. One by one they are sooner looked
# for than as a class.
_RARE = (b"@", b"%", b"=", b";", b"#", b"?", b" ", b'"')
_GOES_ON = re.compile(rb"[:=<\s\"']")  # what may stand before a value, which may end in the query
# What says who asked, in most lines: the digest of a credential and a group.
_CREDENTIAL_ID = b'"authentication.kubernetes.io/credential-id":'
_DIGEST = re.compile(
    re.escape(_CREDENTIAL_ID) + rb'\["(?:JTI=[0-9a-f-]{36}|X509SHA256=[0-9a-f]{64})"\]'
)
_MASTERS = b'"system:masters"'
_ESCAPED_JSON = re.compile(rb"[{\[](?:[ \t]|\\[nrt])*\\").search
_MAX_KEPT = 4096
_MOST_DOUBTS = 8  # rows in a block
_LONGEST_KEPT = 512  # characters


def _texts(judge: Callable[[bytes], bool]) -> BoundedCache[bytes, bool]:
    """Remember which texts leave as they are."""
    return BoundedCache(judge, most=_MAX_KEPT, longest=_LONGEST_KEPT)


def _is_plain(text: bytes) -> bool:
    """Tell quickly that a path or a name can hold nothing. *False* says only: look at it."""
    return not any(map(text.__contains__, _RARE)) and not needles_in_bytes(text) & FORMS


def _is_plain_path(text: bytes) -> bool:
    """Tell the same of a path: behind a proxy there may be any text."""
    return b"/proxy/" not in text and _is_plain(text)


def _may_hold_json(around: bytes) -> bool:
    """Tell JSON in a text; one pattern for both forms takes twice as long as two."""
    return _ESCAPED_JSON(around) is not None or PACKED.search(around) is not None


def _without_first(line: bytes, name: bytes, member: re.Pattern[bytes]) -> bytes:
    """Take out the first member of a name, if its value is as *member* says."""
    start = line.find(name)
    found = member.match(line, start) if start >= 0 else None
    return line[:start] + line[found.end() :] if found else line


class CleanParts:
    """The verdicts of one exporter's rules. Not to be used where the rules look at everything."""

    def __init__(
        self,
        outside: OutsideBodies,
        body: Callable[[bytes, Findings], bytes],
        stays: Callable[[bytes], bool],
        key: str,
    ) -> None:
        """*body* reads and redacts one; *stays* tells quickly of one that is about no Secret.

        *key* names the attribute that tells which rules fired.
        """
        self._outside, self._body, self._stays, self._key = outside, body, stays, key
        self.queries = _texts(self._is_clean_query)
        self.paths = _texts(self._is_clean_path)
        self.references = _texts(self._is_clean_reference)

    def find_doubtful(self, rows: bytes, doubt: Callable[[int, int], int]) -> None:
        """Look for the rows that may hold something: one look at many costs little more.

        Where many do the rest is doubtful, too.
        """
        at = 0
        for _ in range(_MOST_DOUBTS):
            place = first_form(rows[at:])
            if place < 0:
                return
            at = doubt(at + place - 1, at + place)
        doubt(at, len(rows))

    def are_free(self, values: bytes) -> bool:
        """Judge values of members in one pass. *False* says only: look at each."""
        return is_clean(_without_first(values, _CREDENTIAL_ID, _DIGEST).replace(_MASTERS, b""))

    def member(self, name: bytes, value: bytes) -> bool:
        """Judge a member of the event by its JSON."""
        return self._outside.clean[name, value]

    def _is_clean_query(self, query: bytes) -> bool:
        """Judge a query behind any clean path: an address may have begun there that ends here."""
        text = query.decode()
        return is_plain_query(text) or (
            "@" not in text and self._outside.leaves("requestURI", "/?" + text)
        )

    def _is_clean_path(self, path: bytes) -> bool:
        """Judge a path, and the names in it; not one in which a value may begin."""
        if _is_plain_path(path):
            return True
        return not _GOES_ON.search(path) and self._outside.leaves("requestURI", path.decode())

    def _is_clean_reference(self, text: bytes) -> bool:
        return _is_plain(text) or self._outside.leaves("objectRef", text.decode())

    def are_alone(self, about: ObjectRef) -> bool:
        """Tell whether the bodies of an object are judged by nothing else: it is no Secret."""
        return not (self._outside.rules_look_at_bodies or context_about(about).kind)

    def stay(self, request: bytes, response: bytes) -> bool:
        """Tell quickly whether such bodies stay. *False* says only: look at them.

        Raises a msgspec error for what is no JSON.
        """
        for body in filter(None, (request, response)):
            if not self._stays(body):
                return False
            check_json(body)
        return True

    def answer_stays(self, around: bytes) -> bool:
        """Tell the same of an answer about a Secret that says what responseStatus does.

        *around*: the line around it. JSON in a text is judged by what the event is about.
        """
        return not (self._outside.rules_look_at_bodies or _may_hold_json(around))

    def bodies(
        self,
        around: tuple[bytes, bytes, bytes],
        request: bytes,
        response: bytes,
        about: ObjectRef | str,
    ) -> Bodies | None:
        """Redact the bodies of a line; None where more than them must be looked at for it.

        Raises a msgspec error for what is no JSON.

        *around*: what of the line is before, between and behind them. *about*: the object, or the
        URI where there is none.
        """
        if self._outside.rules_look_at_bodies:
            return None
        before, between, behind = around
        outside = b"".join(around)
        if outside.count(_REQUEST) != bool(request) or outside.count(_RESPONSE) != bool(response):
            return None
        found = Findings(context_about(about))
        new_request = self._body(request, found) if request else b""
        new_response = self._body(response, found) if response else b""
        may_echo = response and found.redacted_values and b'"Status"' in response
        if may_echo and found.echoed_in_body(new_response):
            return None  # a webhook's denial says what was redacted in the request
        if found.context.kind and _may_hold_json(outside):
            return None  # JSON in a text is judged by what the event is about
        if not found.fired:
            return Bodies()
        new = b"".join((before, new_request, between, new_response, behind))
        return Bodies(new, {self._key: tuple(sorted(found.fired))}, tuple(found.redacted_values))

    def repeats(
        self, values: Sequence[bytes], status: Status | None, annotations: dict[str, str] | None
    ) -> bool:
        """Tell whether a message or annotation repeats what was redacted in the bodies."""
        found = Findings(BodyContext())
        found.redacted_values.update(values)
        event = AuditEvent(response_status=status, annotations=annotations)
        return self._outside.repeats(event, found)
