"""What is known of one event: which kind of object its bodies hold, what was found in it so far."""

import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from k8s_audit_otlp.event.splice.line import is_reference_as_written
from k8s_audit_otlp.event.splice.tokens import text_of, written
from k8s_audit_otlp.model import AuditEvent, ObjectRef

_FEW = 64  # values that are looked for one by one
_SHORTEST_ECHO = 6  # bytes; a shorter value says nothing, and is found in any text


@dataclass(frozen=True, slots=True)
class BodyContext:
    """What the event says about its bodies."""

    resource: str = ""  # <resource>[/<subresource>][.<group>]
    kind: str = ""  # "secret", "configmap", "token", "template" (of a Secret) or nothing
    event: bool = False  # it is the whole event, with its bodies in it


KINDS = {"secret": (b"Secret", b"SecretList"), "configmap": (b"ConfigMap", b"ConfigMapList")}
_KINDS_BY_RESOURCE = {
    ("secrets", ""): "secret",
    ("configmaps", ""): "configmap",
    ("serviceaccounts", "token"): "token",
    ("tokenreviews", ""): "token",
}


# Kinds with a Secret's data in them, and stores, which have the values of their provider `fake`.
_WITH_TEMPLATES = (
    *(b"ExternalSecret", b"ClusterExternalSecret", b"SealedSecret", b"PushSecret", b"SopsSecret"),
    b"Fake",
)
_STORES = (b"SecretStore", b"ClusterSecretStore")
# A patch of one does not say of which kind it is; its resource does.
_TEMPLATES = frozenset(f"{kind.decode().lower()}s" for kind in (*_WITH_TEMPLATES, *_STORES))
_GROUPS_OF_TEMPLATES = ("external-secrets.io", "bitnami.com", "isindir.github.com")


@lru_cache(maxsize=2048)
def _context_of(resource: str, subresource: str, api_group: str) -> BodyContext:
    """Return what an object's resource says about its bodies."""
    kind = _KINDS_BY_RESOURCE.get((resource.lower(), subresource.lower()), "")
    if kind in ("secret", "configmap") and api_group:
        kind = ""
    elif resource.lower() in _TEMPLATES and api_group.endswith(_GROUPS_OF_TEMPLATES):
        kind = "template"
    place = f"{resource}/{subresource}" if subresource else resource
    return BodyContext(f"{place}.{api_group}" if api_group else place, kind)


def context_of_event(event: AuditEvent) -> BodyContext:
    ref = event.object_ref
    return context_about(ref if ref is not None and ref.resource else event.request_uri)


def context_about(about: ObjectRef | str) -> BodyContext:
    """Return what an object, or the URI where there is none, says about bodies."""
    if isinstance(about, str):
        return _context_of_uri(about)
    return _context_of(about.resource, about.subresource, about.api_group)


def _context_of_uri(uri: str) -> BodyContext:
    """Guess for an event without objectRef; one without a URI as well is taken for the worst."""
    if not uri or "/secrets" in uri:
        return BodyContext(kind="secret")
    return BodyContext(kind="configmap" if "/configmaps" in uri else "")


def refers_once(members: list[tuple[bytes, bytes]]) -> bool:
    """Tell whether the event says in one way only what it is about."""
    return all(
        value == b"null" or is_reference_as_written(value)
        for name, value in members
        if name == b"objectRef"
    )


def worst_of(line: bytes, context: BodyContext) -> BodyContext:
    """Return what the bodies may be at the worst, of a line that says it in several ways."""
    if not context.kind:
        for resource, kind in ((b'"secrets"', "secret"), (b'"configmaps"', "configmap")):
            if resource in line:
                return replace(context, kind=kind)
    return context


def data_rule(context: BodyContext, pieces: list[bytes], key: int) -> str:
    """Return the rule for the member `data` at *key* of a body, given as its pieces, or nothing."""
    if context.kind in KINDS:
        return context.kind
    if pieces[key].lower() == b"stringdata":
        return "secret"
    is_template = context.kind == "template"
    if pieces[key + 1][:2] == b":{" and (is_template or _say(pieces, _WITH_TEMPLATES)):
        return "secret"
    if b"fake" in pieces and (is_template or _say(pieces, _STORES)):
        return "secret"
    return next((rule for rule, kinds in KINDS.items() if _say(pieces, kinds)), "")


def _say(pieces: list[bytes], kinds: tuple[bytes, ...]) -> bool:
    return any(kind in pieces for kind in kinds)


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
        self.redacted_values: set[bytes] = set()  # pieces that were redacted in the bodies
        self._texts: list[str] | None = None

    def about(self, context: BodyContext) -> "Findings":
        """Return the same findings for a part of the event that is about something else."""
        other = Findings(context, self.event)
        other.fired, other.redacted_values = self.fired, self.redacted_values
        return other

    def noted(self, rule: str, old: str, new: str) -> str:
        """Return the new text; the rule has fired where it is another one."""
        if new != old:
            self.fired.add(rule)
        return new

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

    def echoed_in_body(self, body: bytes) -> list[str]:
        """Return what was redacted and a body repeats, as it reads."""
        return self.echoed_in(body.decode("utf-8", "replace"), written)

    def echoed_in(self, text: str, form: Callable[[str], str] = str) -> list[str]:
        """Return what was redacted and the text repeats, longest first.

        *form* gives it as it stands there. Few of many are looked for whole: those whose beginning
        is in the text, which is looked up.
        """
        if not text:
            return []
        echoes = self.echoed()
        if len(echoes) > _FEW:
            begins = {text[at : at + _SHORTEST_ECHO] for at in range(len(text))}
            echoes = [echo for echo in echoes if form(echo)[:_SHORTEST_ECHO] in begins]
        return [echo for echo in echoes if form(echo) in text]
