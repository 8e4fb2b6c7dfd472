"""Takes credentials and names out of the strings of an event outside its bodies.

`OutsideBodies.text` is the one judge of a line, and the typed event is read from what it leaves.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.memory_bounds import LONGEST_TEXT
from k8s_audit_otlp.event.redact.actions import act_on_members
from k8s_audit_otlp.event.redact.body import BodyRedactor
from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.redact.embedded import may_hold_json, redact_embedded
from k8s_audit_otlp.event.redact.names import clean_name
from k8s_audit_otlp.event.redact.response_status import texts_of_status
from k8s_audit_otlp.event.redact.rules import RedactionRules
from k8s_audit_otlp.event.redact.scan import Scan
from k8s_audit_otlp.event.redact.strings import compacted
from k8s_audit_otlp.event.secrets.grammar import KeyVerdict, judge, may_name_drawn
from k8s_audit_otlp.event.secrets.messages import quoted_in
from k8s_audit_otlp.event.secrets.prefilter import is_clean, may_hold
from k8s_audit_otlp.event.secrets.randomness import looks_drawn
from k8s_audit_otlp.event.secrets.replacement import MASK, Replacement
from k8s_audit_otlp.event.secrets.text import (
    clean,
    clean_forms,
    clean_message,
    clean_of_object,
    clean_of_user,
)
from k8s_audit_otlp.event.secrets.uri import clean_uri
from k8s_audit_otlp.event.splice.tokens import (
    UnreadableError,
    end_of,
    is_key,
    is_member_value,
    join,
    piece_of,
    split,
    text_of,
)
from k8s_audit_otlp.model import AuditEvent

PATCH_ANNOTATION = "patch.webhook.admission.k8s.io/"
_PATCH = PATCH_ANNOTATION.encode()
_KUBERNETES_DOMAINS = ("k8s.io", "kubernetes.io")  # their annotations name things, never hold them
_OF_A_USER = ("username", "uid", "groups")
_USERS = (b"user", b"impersonatedUser")
# What says of a user which credential it came with, and how that looks: a name, no secret.
_CREDENTIAL_IDS = {"accessKeyId": re.compile(r"[A-Z0-9]{16,32}")}  # of AWS
_JUDGED_BY_TEXT = frozenset((b"requestURI", b"annotations", *_USERS))  # their names, too
_OF_AN_ANSWER = frozenset(  # names that say nothing of their values
    b"""
    metadata status message reason details name group kind uid causes field code retryAfterSeconds
    """.split()
)
_BODY_NAMES = (b"requestObject", b"responseObject")
_MAX_KEPT = 4096  # names that are remembered
_LONGEST_KEPT = 512  # characters
_MAX_MEMBERS, _LONGEST_MEMBER = 8192, 1024  # that are remembered, bytes of one
_LONGEST_NAME = 64  # characters of a text that may be one; longer ones do not repeat


def is_credential_annotation(name: str) -> bool:
    domain, slash, _ = name.rpartition("/")
    if slash and domain.endswith(_KUBERNETES_DOMAINS):
        return False
    return judge(name) is not KeyVerdict.HARMLESS


class OutsideBodies:
    def __init__(
        self, rules: RedactionRules, replacement: Replacement, bodies: BodyRedactor
    ) -> None:
        self._rules, self._replacement, self._bodies = rules, replacement, bodies
        self._pseudonym = Replacement(rules.key) if rules.pseudonymise else replacement
        self._users = "users" in rules.pseudonymise
        self._addresses = "addresses" in rules.pseudonymise
        self._patterns = tuple(rule for rule in rules.own if rule.pattern)
        self.always = bool(rules.pseudonymise or self._patterns)
        self.rules_look_at_bodies = bool(rules.own) or rules.bodies == "drop"
        # Of annotations and of `user.extra`: clients choose them.
        self._free_names = BoundedCache(self._says_more, most=_MAX_KEPT, longest=_LONGEST_KEPT)
        # (name, JSON) of a member of an event -> does it leave as it is.
        self.clean: BoundedCache[tuple[bytes, bytes], bool] = BoundedCache(
            self._is_clean, most=_MAX_MEMBERS, longest=_LONGEST_MEMBER, size=lambda m: len(m[1])
        )
        # Of an answer: reasons and kinds, and what the apiserver's own sentences quote.
        self._values, self._users_left = (
            BoundedCache(partial(self._leaves, owner), most=_MAX_KEPT, longest=_LONGEST_KEPT)
            for owner in ("responseStatus", "user")
        )

    def changing(self, members: Iterable[tuple[bytes, bytes]]) -> list[bytes] | None:
        """Return the names of those that do not leave as they are; None where all may change."""
        return None if self.always else [member[0] for member in members if not self.clean[member]]

    def _is_clean(self, member: tuple[bytes, bytes]) -> bool:
        """Tell it of a member; the prefilter does not know what stands in addresses and patches."""
        name, value = member
        if name == b"responseStatus" and (read := texts_of_status(value)) is not None:
            return all(self.leaves("responseStatus", text) for text in read)
        if name != b"requestURI" and _PATCH not in value and is_clean(value):
            return True
        try:
            pieces = split(b'{"%b":%b}' % member)
            if name == b"responseStatus":
                names = {p for p in range(3, len(pieces), 2) if is_key(pieces, p)}
                if _OF_AN_ANSWER.issuperset(map(pieces.__getitem__, names)):
                    texts = [text_of(pieces[p]) for p in range(3, len(pieces), 2) if p not in names]
                    return all(self.leaves("responseStatus", text) for text in texts)
            return not self._member(pieces, 1, end_of(pieces, 1), Findings(BodyContext()))
        except (UnreadableError, LookupError):
            return False

    def leaves(self, owner: str, text: str) -> bool:
        """Tell whether a text of the member *owner* leaves as it is."""
        if owner != "responseStatus":
            return self._leaves(owner, text)
        if text in self._values:
            return self._values[text]
        quoted = quoted_in(text)
        if quoted is not None:
            return self._users_left[quoted.user] and all(
                map(self._values.__getitem__, quoted.values)
            )
        return self._leaves(owner, text) if len(text) > _LONGEST_NAME else self._values[text]

    def _leaves(self, owner: str, text: str) -> bool:
        if owner == "responseStatus" and not (may_hold(text) or may_hold_json(text)):
            return len(text) <= LONGEST_TEXT
        return self.text(owner, owner, text, Findings(BodyContext())) == text

    def _says_more(self, name: str) -> bool:
        """Tell a name that says something of its value, or holds what is no name."""
        known = name.startswith(PATCH_ANNOTATION) or is_credential_annotation(name)
        return known or self._name(name) != name

    def _name(self, name: str) -> str:
        """Redact the name of an annotation or of what is said of a user, which clients choose."""
        return name if "text" in self._rules.off else clean_name(name, self._replacement)

    def repeats(self, event: AuditEvent, found: Findings) -> bool:
        """Tell whether a message or annotation repeats what was redacted in the bodies."""
        if not found.redacted_values:
            return False
        texts = [event.response_status.message] if event.response_status else []
        for name, text in event.annotations.items() if event.annotations else ():
            if not name.startswith("authorization.k8s.io/"):
                texts.append(text)
        return bool(found.echoed_in("\n".join(texts)))

    def text(self, owner: str, name: str, text: str, found: Findings) -> str:
        """Redact one string: `owner` is the member of the event, `name` the nearest key to it.

        Of a text longer than genuine ones are the beginning is judged; the rest goes.
        """
        if len(text) > LONGEST_TEXT:
            found.fired.add("text")
            text = text[:LONGEST_TEXT] + MASK
        if owner == "annotations":
            return self._annotation(name, text, found)
        text = self._json(text, found)
        if owner == "requestURI":
            return self._free(self.uri(text, found), found, clean_forms)
        if owner == "objectRef":  # names, which may have a colon
            return self._free(text, found, clean_of_object)
        if owner in ("user", "impersonatedUser"):
            return self._user(name, text, found)
        if owner == "sourceIPs" and self._addresses:
            return found.noted("addresses", text, self._pseudonym(text))
        if owner == "responseStatus":
            return self._message(text, found)
        return self._free(text, found)

    def uri(self, text: str, found: Findings) -> str:
        """Clean a request URI, or the text that one stands in."""
        args = self._rules.args if "args" not in self._rules.off else "keep"
        credentials = "uri" not in self._rules.off
        return found.noted(
            "uri", text, clean_uri(text, self._replacement, args=args, credentials=credentials)
        )

    def _free(
        self, text: str, found: Findings, cleaner: Callable[[str, Replacement], str] = clean
    ) -> str:
        if "text" not in self._rules.off and may_hold(text):
            text = found.noted("text", text, cleaner(text, self._replacement))
        for rule in self._patterns:
            if rule.pattern and rule.covers(found.context.resource):
                new = rule.pattern.sub(lambda match: self._replacement(match[0]), text)
                text = found.noted(rule.name, text, new)
        return text

    def _message(self, text: str, found: Findings) -> str:
        """Clean a text of the apiserver's, which may echo what the bodies held."""
        if "text" not in self._rules.off:
            for echo in found.echoed_in(text):
                text = text.replace(echo, self._replacement(echo))
                found.fired.add("text")
        for user in found.users() if self._users else ():
            text = text.replace(f'"{user}"', f'"{self._pseudonym(user)}"')
        quoted = quoted_in(text)
        if quoted is None or not quoted.user:
            return self._free(text, found, clean_message)
        before, after = text.split(f'User "{quoted.user}"', 1)
        user = self._free(quoted.user, found, clean_of_user)
        new = self._free(f'{before}User ""{after}', found, clean_message)
        return new.replace('User ""', f'User "{user}"', 1)

    def _user(self, name: str, text: str, found: Findings) -> str:
        if self._users and name in ("username", "uid") and text and not text.startswith("system:"):
            return found.noted("users", text, self._pseudonym(text))
        told = self._free_names[name] or (
            name not in _OF_A_USER and may_name_drawn(name) and looks_drawn(text)
        )
        if name in _CREDENTIAL_IDS and _CREDENTIAL_IDS[name].fullmatch(text):
            return text
        if told and "key" not in self._rules.off:
            return found.noted("key", text, self._replacement(text))
        return self._free(text, found, clean_of_user)

    def _annotation(self, name: str, text: str, found: Findings) -> str:
        if name.startswith(PATCH_ANNOTATION) and "patch-annotation" not in self._rules.off:
            return self._patch(text, found)
        if is_credential_annotation(name) and "key" not in self._rules.off and text:
            return found.noted("key", text, self._replacement(text))
        return self._message(self._json(text, found), found)

    def _json(self, text: str, found: Findings) -> str:
        """Redact the JSON in a text: what is quoted of an object, whole or in part."""
        if not may_hold_json(text):
            return text
        return redact_embedded(text, lambda inner: self._bodies(inner, found, 1)).text

    def _patch(self, text: str, found: Findings) -> str:
        """Redact every value of the patch; which webhook, operation and path stay."""
        try:
            pieces = split(compacted(text.encode()))
            scan = Scan(self._bodies, found, pieces, 1)
            for place in range(1, len(pieces), 2):
                if not is_key(pieces, place):
                    continue
                in_text = pieces[place] == b"patch" and pieces[place + 1] == b":"
                if in_text or pieces[place] == b"value":
                    scan.whole(place, "patch-annotation")
        except (UnreadableError, LookupError, UnicodeEncodeError):
            found.fired.add("patch-annotation")
            return self._replacement(text)
        return join(pieces).decode("utf-8", "replace") if scan.changed else text

    def frame(self, frame: bytes, found: Findings, changing: list[bytes] | None = None) -> bytes:
        """Redact the line outside its bodies, which stand as null.

        *changing*: the members that are known to change, where all the others leave as they are.
        """
        pieces = split(frame)
        changed, key = False, 1
        while key < len(pieces) - 1:
            end = end_of(pieces, key)
            may_change = changing is None or pieces[key] in changing
            if may_change and pieces[key] not in _BODY_NAMES:
                changed |= self._member(pieces, key, end, found)
            key = end
        return join(pieces) if changed else frame

    def _member(self, pieces: list[bytes], key: int, end: int, found: Findings) -> bool:
        owner = text_of(pieces[key])
        changed = False
        if pieces[key] not in _JUDGED_BY_TEXT:
            scan = Scan(self._bodies, found, pieces, 1)
            scan.names = self._bodies.names(())  # an own rule names members of bodies
            act_on_members(scan, key, end)
            changed = scan.changed
        name = owner
        for place in range(key + 2, end, 2):
            if is_key(pieces, place) and not is_member_value(pieces, place):
                text = name = text_of(pieces[place])
                chosen = owner == "annotations" or pieces[key] in _USERS
                new = found.noted("text", name, self._name(name)) if chosen else name
            else:
                text = text_of(pieces[place])
                new = self.text(owner, name, text, found)
            if new != text:
                pieces[place], changed = piece_of(new), True
        return changed
