"""Replaces the secrets in a requestObject or responseObject, and no other byte.

The body is read as pieces (see `tokens`). One pass looks at the name of every member; a second one
reads the strings, where the body as a whole may hold what no name tells.
"""

import re
from collections.abc import Iterable
from itertools import compress
from operator import not_

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.memory_bounds import LARGE_BODY
from k8s_audit_otlp.event.redact.actions import (
    Member,
    act,
    may_echo,
    may_echo_in,
    members_with_actions,
    redact_strange_members,
)
from k8s_audit_otlp.event.redact.context import BodyContext, Findings
from k8s_audit_otlp.event.redact.names import Action, Names
from k8s_audit_otlp.event.redact.patch import act_on_operations, paths_to
from k8s_audit_otlp.event.redact.repeated_parts import Part, PartRedactor, part_key, part_of
from k8s_audit_otlp.event.redact.response_status import texts_of_status
from k8s_audit_otlp.event.redact.rules import OwnRule, RedactionRules
from k8s_audit_otlp.event.redact.scan import MAX_ECHOES, Scan
from k8s_audit_otlp.event.redact.siblings import act_on_flags
from k8s_audit_otlp.event.redact.strings import (
    clean_strings,
    compacted,
    may_hold_json,
    string_verdicts,
)
from k8s_audit_otlp.event.redact.tables import act_on_rows
from k8s_audit_otlp.event.secrets.messages import quoted_in
from k8s_audit_otlp.event.secrets.prefilter import look
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import clean_message
from k8s_audit_otlp.event.splice.lists import LARGE_BYTES
from k8s_audit_otlp.event.splice.tokens import (
    SpacedError,
    join,
    marks_key,
    mask,
    plainly_escaped,
    split,
)

_MAX_QUOTED, _LONGEST_QUOTED = 4096, 512  # texts that are remembered, characters of one
_MAX_ANSWERS = 1024  # that are remembered
_SHORTEST_SEEN = 4096  # bytes of a list or an object that is looked up, as it may come again
_STATUS = b'{"kind":"Status","apiVersion":"v1",'
_WORD = re.compile(r"[\w.-]+").fullmatch
# Each begins with text: `re` looks for its first byte, and is twice as quick as `bytes` at that.
_FLAG, _ROWS = (re.compile(x).search for x in (rb'"-', rb'\[\["'))
_PAIR = re.compile(rb'\["[\w.:-]{2,64}","[^"]{5,}"\]').search  # of a name and a value
# A prompt, and its answer.
_ANSWERS = [re.compile(prompt + rb'","[^"]{5,}"\]').search for prompt in (rb"\?", b":")]


class BodyRedactor:
    """Built once for an exporter's rules; remembers the verdicts for names."""

    def __init__(self, rules: RedactionRules, replacement: Replacement) -> None:
        self.rules, self.replacement = rules, replacement
        self._names: dict[tuple[OwnRule, ...], Names] = {}
        self._plain = self.names(())
        self._is_suspect = string_verdicts(credentials="text" not in rules.off)
        self._quoted = BoundedCache(self._leaves, most=_MAX_QUOTED, longest=_LONGEST_QUOTED)
        self._looked = b"", (True, True)  # of late, and what was told of it
        self._answers = BoundedCache(
            self._says_what_it_quotes, most=_MAX_ANSWERS, longest=_LONGEST_QUOTED
        )
        self._parts = PartRedactor(self._whole, self._plain, self._is_harmless)

    def own_rules(self, context: BodyContext) -> tuple[OwnRule, ...]:
        return tuple(rule for rule in self.rules.own if rule.covers(context.resource))

    def names(self, own: tuple[OwnRule, ...]) -> Names:
        """Return the verdicts on names where these own rules hold."""
        names = self._names.get(own)
        if names is None:
            names = self._names[own] = Names(self.rules, own)
        return names

    def may_say(self, message: str) -> bool:
        """Tell a sentence of kube-apiserver's own in which all that it quotes may leave."""
        quoted = quoted_in(message)
        if quoted is None:
            return False
        return all(self._quoted[value] for value in (*quoted.values, quoted.user))

    def _leaves(self, quoted: str) -> bool:
        return clean_message(quoted, self.replacement) == quoted

    def _says_what_it_quotes(self, answer: bytes) -> bool:
        """Tell an answer in a sentence of the apiserver's own, with texts that hold nothing.

        *False* says only: look at it. Many answers are new, as each names another object.
        """
        texts = texts_of_status(b"{" + answer[len(_STATUS) :])
        if texts is None or not all(len(x) <= _LONGEST_QUOTED and x.isprintable() for x in texts):
            return False
        message = texts.pop(1)
        piece = mask(message.encode().replace(b'"', b'\\"'))
        if may_echo(piece) or may_hold_json(piece) or not self.may_say(message):
            return False
        return not any('"' in x or "\\" in x for x in texts) and all(map(self._may_stand, texts))

    def _may_stand(self, text: str) -> bool:
        """Tell a text that leaves whatever its name: also a suspect word by itself does."""
        is_suspect = self._is_suspect[text.encode()]
        return not is_suspect or (_WORD(text) is not None and self._quoted[text])

    def stays(self, body: bytes) -> bool:
        """Tell quickly of a body that is about no Secret that it stays. *False*: look at it."""
        if len(body) >= _SHORTEST_SEEN and self._parts.is_list(body):
            return False  # its items may have been seen
        if len(body) > LARGE_BYTES:
            return False
        self._looked = body, look(body)
        return self._looked[1][0]

    def _look(self, body: bytes) -> tuple[bool, bool]:
        last, told = self._looked
        return told if last is body else look(body)

    def __call__(self, body: bytes, found: Findings, depth: int = 0) -> bytes:
        """Return the body; the same object when nothing in it is secret."""
        if self.rules.own:
            return self._whole(body, found, depth)
        answers = body.startswith(_STATUS)  # which are none of the objects that were asked for
        if answers or not found.context.kind:
            may_have_parts = not (depth or found.context.kind) and len(body) <= LARGE_BODY
            if may_have_parts and len(body) >= _SHORTEST_SEEN:
                part = self._parts.of_list(body)
                if part is not None:
                    return _became(part, body, found)
            clean, by_parts = self._look(body)
            if clean or (answers and self._answers[body]):
                return body
            if by_parts and may_have_parts:
                return _became(self._parts(body), body, found)
        return self._whole(body, found, depth) if depth else self._once(body, found)

    def _once(self, body: bytes, found: Findings) -> bytes:
        """Redact a body as a whole, once: whoever asks for a Secret again gets the same one."""
        key, known = part_key(body), self._parts.known_like(body)
        key = key and b"%b %d " % (found.context.kind.encode(), found.context.event) + key
        part = known.get(key)
        if part is not None:
            return _became(part, body, found)
        its_own = Findings(found.context)
        try:
            new = self._whole(body, its_own)
        finally:
            _note(found, its_own.fired, tuple(its_own.redacted_values))
        known.remember(key, part_of(body, new, its_own))
        return new

    def _whole(self, body: bytes, found: Findings, depth: int = 0) -> bytes:
        context = found.context
        own = self.own_rules(context) if self.rules.own else ()
        names = self.names(own) if own else self._plain
        given, spaced = body, None
        body = plainly_escaped(body)
        try:
            pieces = split(body)
            members = _members(pieces, names)
        except SpacedError:
            spaced = pieces if len(body) <= LARGE_BODY else None
            body = compacted(body)
            pieces = split(body)
            members = _members(pieces, names)
        scan = Scan(self, found, pieces, depth)
        flags, operations = _may_hold_flags(body), _may_hold_operations(body)
        if members or own or context.kind or flags or operations or body[:1] == b'"':
            _act(scan, members, body, flags=flags, operations=operations)
        suspects = self._suspects(pieces)
        if own or suspects:
            clean_strings(scan, suspects, self._is_suspect)
        if not scan.changed:
            return given
        return join(pieces if spaced is None else _with_blanks(spaced, split(body), pieces))

    def _is_harmless(self, string: bytes) -> bool:
        """Tell of a string, in its quotes, that it holds nothing which no name has told."""
        piece = string[1:-1] if b"\\" not in string else mask(string[1:-1])
        return not self._is_suspect[piece]

    def _suspects(self, pieces: list[bytes]) -> set[bytes]:
        """Return the strings, none of them a key, that may hold what no name has told."""
        keys = [*map(marks_key, pieces[2:-1:2]), False]
        values = set(compress(pieces[1::2], map(not_, keys)))
        return {*filter(self._is_suspect.__getitem__, values)}


def _became(part: Part, body: bytes, found: Findings) -> bytes:
    if part.new is None:
        return body
    _note(found, part.fired, part.redacted_values)
    return part.new


def _note(found: Findings, fired: Iterable[str], values: tuple[bytes, ...]) -> None:
    found.fired.update(fired)
    found.redacted_values.update(values[: MAX_ECHOES - len(found.redacted_values)])


def _with_blanks(spaced: list[bytes], before: list[bytes], now: list[bytes]) -> list[bytes]:
    """Return what was redacted with the blanks that stood between its strings.

    *before* it was redacted it was the same without them. Those beside a number that was replaced
    are gone.
    """
    if not len(spaced) == len(before) == len(now):
        return now
    places = zip(spaced, before, now, strict=True)
    return [new if n % 2 or old != new else blank for n, (blank, old, new) in enumerate(places)]


def _members(pieces: list[bytes], names: Names) -> list[Member]:
    """Return the members that call for something. Messages do only if they may echo a value."""
    if not pieces[0] or len(pieces) == 1:  # a string alone, or no string at all
        return []
    if pieces[0] != b"{" and len(pieces[0].split()) != 1:
        raise SpacedError("white space before the first member")
    found = members_with_actions(pieces, names, 1, len(pieces))
    return [m for m in found if m[1] is not Action.MESSAGE or may_echo_in(pieces, m[0])]


def _may_hold_flags(body: bytes) -> bool:
    """Tell a flag in a list, or a list of a name and a value."""
    return any(look_for(body) for look_for in (_PAIR, _ROWS, _FLAG, *_ANSWERS))


def _may_hold_operations(body: bytes) -> bool:
    """Tell a JSON Patch, or an object that carries one: an overlay, a webhook's answer."""
    return b'"path":' in body and (body[:1] == b"[" or b'"op":' in body)


def _act(scan: Scan, members: list[Member], body: bytes, *, flags: bool, operations: bool) -> None:
    """Redact by the names of members, the paths of a patch and the paths of own rules.

    A string alone is judged by what its event is about.
    """
    pieces = scan.pieces
    if body[:1] == b'"':
        if scan.context.kind:
            scan.mask(1, "secret" if scan.context.kind == "template" else scan.context.kind)
        return
    act(scan, members)
    if flags and "key" not in scan.off:
        act_on_flags(scan)
        act_on_rows(scan)
    secret = scan.context.kind == "secret" and not scan.context.event
    if secret and "secret" not in scan.off and body[:1] == b"{":
        redact_strange_members(scan)
    if operations:
        act_on_operations(scan)
    for rule in scan.own:
        for place in paths_to(pieces, rule.path) if rule.path else ():
            scan.mask(place, rule.name)
