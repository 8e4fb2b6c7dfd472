"""One requestObject or responseObject in, the same bytes without the secrets in it out.

The body is read as pieces (see `tokens`). One pass looks at the name of every member; each
distinct name is judged once and the verdict remembered. What a name calls for is one action.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import compress

import msgspec

from k8s_audit_otlp.event.redact.keys import Verdict, is_reference, judge
from k8s_audit_otlp.event.redact.rules import OwnRule, RedactionRules
from k8s_audit_otlp.event.redact.text import (
    MASK,
    Replacement,
    clean,
    clean_message,
    may_hold_credentials,
    program,
)
from k8s_audit_otlp.event.redact.tokens import (
    FEW_ESCAPES,
    SpacedError,
    UnreadableError,
    closing_part,
    end_of,
    is_key,
    is_member_value,
    join,
    marks_key,
    members,
    objects,
    piece_of,
    split,
    text_of,
)

_BRACE = 0x7B
_MAX_NAMES = 8192  # distinct member names remembered
_MAX_EMBEDDED = 4  # JSON in a string in JSON in a string ...
_MAX_ECHOES = 64  # redacted values looked for in the messages of the same event
_NUMBER = re.compile(rb"(?<![\w.+-])-?\d[\d.eE+-]*")
_DIGIT = re.compile(rb"[0-9]").search
_KINDS = {"secret": (b"Secret", b"SecretList"), "configmap": (b"ConfigMap", b"ConfigMapList")}


class Action(IntEnum):
    NONE = 0
    CREDENTIAL = 1
    CREDENTIAL_TEXT = 2
    DATA = 3
    ENV = 4
    COMMAND = 5
    ARGS = 6
    COPY = 7
    MESSAGE = 8
    VALUE = 9
    SCHEMA = 10
    OWN = 11


# Members that mean the same in every kind of k8s.io/api, and annotations that repeat the object.
_ACTIONS = {
    "data": Action.DATA,
    "stringData": Action.DATA,
    "binaryData": Action.DATA,
    **dict.fromkeys(("env", "envVars", "extraEnv", "extraEnvVars", "httpHeaders"), Action.ENV),
    "command": Action.COMMAND,
    "args": Action.ARGS,
    "message": Action.MESSAGE,
    "value": Action.VALUE,
    "openAPIV3Schema": Action.SCHEMA,
    "kubectl.kubernetes.io/last-applied-configuration": Action.COPY,
    "kapp.k14s.io/original": Action.COPY,
    "objectset.rio.cattle.io/applied": Action.COPY,
}
_RULE_OF = {Action.ENV: "env", Action.COMMAND: "args", Action.ARGS: "args"}
_NAMING = (b"name", b"key", b"field", b"id", b"header")
_MASK = MASK.encode()
_HARMLESS_TEXTS = (b"", b"true", b"false", _MASK)
_HARMLESS_PATHS = ("/metadata/labels", "/metadata/finalizers", "/metadata/ownerReferences", "/type")


@dataclass(frozen=True, slots=True)
class BodyContext:
    """What the event says about its bodies."""

    resource: str = ""  # <resource>[/<subresource>][.<group>]
    kind: str = ""  # "secret", "configmap", "token" or nothing


class _Names(dict[bytes, Action]):
    """Member name, as its piece -> action. Bounded."""

    def __init__(self, rules: RedactionRules, own: tuple[OwnRule, ...]) -> None:
        super().__init__()
        self._rules, self._own = rules, own

    def __missing__(self, piece: bytes) -> Action:
        action = self._judge(text_of(piece))
        if len(piece) <= 256:
            if len(self) >= _MAX_NAMES:
                self.clear()
            self[piece] = action
        return action

    def _judge(self, name: str) -> Action:
        if any(rule.keys and rule.keys.search(name) for rule in self._own):
            return Action.OWN
        action = _ACTIONS.get(name)
        if action is not None:
            off = _RULE_OF.get(action, "") in self._rules.off
            return Action.NONE if off else action
        return Action(int(judge(name)))


class BodyRedactor:
    """Built once for an exporter's rules; remembers the verdicts for names."""

    def __init__(self, rules: RedactionRules, replacement: Replacement) -> None:
        self.rules, self.replacement = rules, replacement
        self._names: dict[tuple[OwnRule, ...], _Names] = {}

    def names(self, own: tuple[OwnRule, ...]) -> _Names:
        """Return the verdicts on names where these own rules hold."""
        if own not in self._names:
            self._names[own] = _Names(self.rules, own)
        return self._names[own]

    def scan(
        self, pieces: list[bytes], context: BodyContext, fired: set[str], echoes: list[bytes]
    ) -> "_Scan":
        """Begin a pass over pieces that are no body."""
        return _Scan(self, context, pieces, fired, echoes, 1)

    def __call__(
        self,
        body: bytes,
        context: BodyContext,
        fired: set[str],
        echoes: list[bytes],
        depth: int = 0,
    ) -> bytes:
        """Return the body; the same object when nothing in it is secret."""
        try:
            scan = self._structure(body, context, fired, echoes, depth)
        except SpacedError:
            body = compacted(body)
            scan = self._structure(body, context, fired, echoes, depth)
        pieces = scan.pieces
        out = join(pieces) if scan.changed else body
        credentials, embedded = may_hold_credentials(out), may_hold_json(out)
        if credentials or embedded or scan.patterns:
            if scan.changed:
                pieces[:] = split(out)
                scan.changed = False
            scan.texts(credentials=credentials and "text" not in self.rules.off, embedded=embedded)
            out = join(pieces) if scan.changed else out
        return out

    def _structure(
        self, body: bytes, context: BodyContext, fired: set[str], echoes: list[bytes], depth: int
    ) -> "_Scan":
        """Redact by the names of members and the paths of a patch."""
        pieces = split(body)
        scan = _Scan(self, context, pieces, fired, echoes, depth)
        if len(pieces) > 3:
            if pieces[0] != b"{" and len(pieces[0].split()) != 1:
                raise SpacedError("white space before the first member")
            scan.members(self.names(scan.own), 1, len(pieces))
            if body[:1] == b"[":
                scan.json_patch()
            scan.own_paths()
        elif len(pieces) == 3 and context.kind and body[:1] == b'"':
            scan.put(1, None, context.kind)
        return scan


def may_hold_json(body: bytes) -> bool:
    r"""Tell whether a string in the body may hold an object: `{\"a\": ...`.

    managedFields are full of `k:{\"name\":...}`, which is a name and not looked at.
    """
    escapes = body.count(b"\\")
    if escapes > FEW_ESCAPES:
        return b"{\\" in body and body.count(b"{\\") != body.count(b'"k:{\\')
    at = body.find(b"\\")
    while at >= 0:
        if body[at - 1] == _BRACE and body[at - 4 : at] != b'"k:{':
            return True
        at = body.find(b"\\", at + 2)
    return False


def compacted(body: bytes) -> bytes:
    try:
        return msgspec.json.format(body, indent=-1)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableError(str(error)) from error


class _Scan:
    """One pass over one body."""

    __slots__ = (
        *("redactor", "context", "pieces", "fired", "echoes", "depth"),
        *("changed", "own", "patterns", "schema_end", "env_end", "replacement"),
    )

    def __init__(
        self,
        redactor: BodyRedactor,
        context: BodyContext,
        pieces: list[bytes],
        fired: set[str],
        echoes: list[bytes],
        depth: int,
    ) -> None:
        self.redactor, self.context, self.pieces = redactor, context, pieces
        self.fired, self.echoes, self.depth = fired, echoes, depth
        self.changed, self.schema_end, self.env_end = False, 0, 0
        self.replacement = redactor.replacement
        own = redactor.rules.own
        self.own = tuple(r for r in own if r.covers(context.resource)) if own else ()
        self.patterns = tuple(rule for rule in self.own if rule.pattern)

    def members(self, names: _Names, start: int, end: int) -> None:
        """Act on every member whose key lies in [start, end)."""
        pieces, past = self.pieces, 0
        marks = [*map(marks_key, pieces[start + 1 : end + 1 : 2])]
        actions = [*map(names.__getitem__, compress(pieces[start:end:2], marks))]
        if not any(actions):
            return
        keys = compress(compress(range(start, end, 2), marks), actions)
        for key, action in zip(keys, filter(None, actions), strict=False):
            if key >= past:
                past = _ACT[action](self, key) or 0

    # Actions: each gets the place of the key and may return where to go on.

    def credential(self, key: int) -> int | None:
        rule = "token" if self.context.kind == "token" else "key"
        if rule in self.redactor.rules.off:
            return None
        value = self.pieces[key + 1][1:2]
        if value in b"{[" and value:
            return self._credentials(key, rule)
        self._scalar(key, rule)
        return None

    def credential_text(self, key: int) -> None:
        if self.pieces[key + 1] == b":" and "key" not in self.redactor.rules.off:
            self._scalar(key, "key")

    def own_key(self, key: int) -> int | None:
        name = text_of(self.pieces[key])
        rule = next(r.name for r in self.own if r.keys and r.keys.search(name))
        return self.whole(key, rule)

    def _credentials(self, key: int, rule: str) -> int | None:
        end = end_of(self.pieces, key)
        if key < self.schema_end or self._refers(key, end):
            return None
        self.all_strings(key, end, rule, keep_references=True)
        return end

    def _refers(self, key: int, end: int) -> bool:
        """Tell a reference to a Secret ({name, key}) from a credential made of parts."""
        if self.pieces[key + 1][:2] != b":{":
            return False
        found = {self.pieces[place] for place in members(self.pieces, key, end)}
        return b"secretName" in found or found <= {b"name", b"namespace", b"key", b"optional"}

    def data(self, key: int) -> int | None:
        rule = self._data_rule(key)
        if not rule or rule in self.redactor.rules.off:
            return None
        return self.whole(key, rule)

    def _data_rule(self, key: int) -> str:
        if self.context.kind in _KINDS:
            return self.context.kind
        if self.pieces[key] == b"stringData":
            return "secret"
        return next(
            (rule for rule, kinds in _KINDS.items() if any(k in self.pieces for k in kinds)), ""
        )

    def whole(self, key: int, rule: str) -> int:
        """Redact the value whatever it is; the names in it stay."""
        end = end_of(self.pieces, key)
        if self.pieces[key + 1][1:2] in (b"{", b"["):
            self.all_strings(key, end, rule)
        else:
            self._scalar(key, rule)
        return end

    def env(self, key: int) -> None:
        pieces, end = self.pieces, end_of(self.pieces, key)
        if pieces[key + 1][:2] == b":{":
            for member in members(pieces, key, end):
                self._scalar(member, "env")
        elif pieces[key + 1] == b":[" or b"}," in pieces[key + 3 : end : 2]:
            for place in self._elements(key, end):
                name, equals, _ = pieces[place].partition(b"=")
                self.put(place, name + equals + _MASK if equals else None, "env")
        self.env_end = max(self.env_end, end)

    def _elements(self, key: int, end: int) -> Iterator[int]:
        for place in range(key + 2, end, 2):
            if not is_key(self.pieces, place) and not is_member_value(self.pieces, place):
                yield place

    def command(self, key: int) -> None:
        self._arguments(key, 1 if self.redactor.rules.args == "first" else 0)

    def args(self, key: int) -> None:
        self._arguments(key, 0)

    def _arguments(self, key: int, keep: int) -> None:
        if self.redactor.rules.args == "keep":
            return
        pieces = self.pieces
        if pieces[key + 1] == b":":
            places = [key + 2]
        elif pieces[key + 1][:2] == b":[":
            places = list(self._elements(key, end_of(pieces, key)))
        else:
            return
        for place in places[:keep]:
            text = text_of(pieces[place])
            new = program(text, self.replacement)
            if new != text:
                self.put(place, piece_of(new), "args")
        for place in places[keep:]:
            self.put(place, None, "args")

    def copy(self, key: int) -> int | None:
        if self.pieces[key + 1] != b":" or "last-applied" in self.redactor.rules.off:
            return None
        self._embedded(key + 2, "last-applied")
        return key + 4

    def message(self, key: int) -> None:
        place = key + 2
        if self.pieces[key + 1] != b":" or "text" in self.redactor.rules.off:
            return
        piece = self.pieces[place]
        if b"alue" in piece or b"map[" in piece or b"got " in piece:
            text = text_of(piece)
            new = clean_message(text, self.replacement)
            if new != text:
                self.put(place, piece_of(new), "text")

    def value(self, key: int) -> None:
        """Redact `value` in an environment, or beside a `name` that says credential."""
        pieces = self.pieces
        if key < self.env_end:
            self._scalar(key, "env")
            return
        if "key" in self.redactor.rules.off:
            return
        after = end_of(pieces, key)
        named = [
            value
            for name, value in ((key - 4, key - 2), (after, after + 2))
            if name > 0 and value < len(pieces)
            if pieces[name] in _NAMING and pieces[name + 1] == b":"
        ]
        if any(judge(text_of(pieces[place])) is Verdict.CREDENTIAL for place in named):
            self.whole(key, "key")

    def schema(self, key: int) -> None:
        self.schema_end = end_of(self.pieces, key)

    # What the actions are made of.

    def put(self, place: int, new: bytes | None, rule: str) -> None:
        """Replace the string at `place`: by `new`, or by what stands in for all of it."""
        piece = self.pieces[place]
        if new is None:
            if piece in _HARMLESS_TEXTS:
                return
            masks = self.replacement.masks
            new = _MASK if masks else piece_of(self.replacement(text_of(piece)))
            if new != piece and len(self.echoes) < _MAX_ECHOES:
                self.echoes.append(piece)
        if new != piece:
            self.pieces[place] = new
            self.changed = True
            self.fired.add(rule)

    def _scalar(self, key: int, rule: str) -> None:
        punctuation = self.pieces[key + 1]
        if punctuation == b":":
            self.put(key + 2, None, rule)
        elif punctuation[1:2] not in (b"{", b"["):
            self._numbers(key + 1, re.split(rb"[,}\]]", punctuation, maxsplit=1)[0], rule)

    def _numbers(self, place: int, part: bytes, rule: str) -> None:
        """Redact the numbers in `part`, which the punctuation at `place` begins with."""

        def quoted(match: re.Match[bytes]) -> bytes:
            return b'"' + self.replacement(match[0].decode()).encode() + b'"'

        new = _NUMBER.sub(quoted, part) if _DIGIT(part) else part
        if new != part:
            self.pieces[place] = new + self.pieces[place][len(part) :]
            self.changed = True
            self.fired.add(rule)

    def all_strings(self, key: int, end: int, rule: str, *, keep_references: bool = False) -> None:
        pieces = self.pieces
        for place in range(key + 1, end - 2, 2):
            if len(pieces[place]) > 1:
                self._numbers(place, pieces[place], rule)
        self._numbers(end - 1, closing_part(pieces, key, end), rule)
        for place in range(key + 2, end, 2):
            if is_key(pieces, place):
                continue
            named = keep_references and is_member_value(pieces, place)
            if named and is_reference(text_of(pieces[place - 2])):
                continue
            self.put(place, None, rule)

    def _embedded(self, place: int, rule: str) -> None:
        """Redact JSON inside a string; what is no JSON is replaced as a whole."""
        text = text_of(self.pieces[place])
        found: set[str] = set()
        if self.depth >= _MAX_EMBEDDED or text.lstrip()[:1] not in ("{", "["):
            self.put(place, None, rule)
            return
        try:
            inner = text.strip().encode()
            out = self.redactor(inner, self.context, found, self.echoes, self.depth + 1)
        except (UnreadableError, LookupError, UnicodeEncodeError):
            self.put(place, None, rule)
            return
        if found and out != inner:
            self.put(place, piece_of(out.decode("utf-8", "replace")), rule)
            self.fired |= found

    def json_patch(self) -> None:
        """Judge each operation's value by its path. RFC 6902."""
        pieces = self.pieces
        for found in objects(pieces):
            paths = [p for p in found if pieces[p] == b"path" and pieces[p + 1] == b":"]
            values = [p for p in found if pieces[p] == b"value"]
            for path in paths:
                text = text_of(pieces[path + 2])
                for value in values:
                    self._operation(text, value)

    def _operation(self, path: str, value: int) -> None:
        if self.context.kind in _KINDS and not path.startswith(_HARMLESS_PATHS):
            if self.context.kind not in self.redactor.rules.off:
                self.whole(value, self.context.kind)
            return
        names = self.redactor.names(self.own)
        steps = [s.replace("~1", "/").replace("~0", "~") for s in path.split("/")[1:]]
        for action, rest in ((names[piece_of(s)], steps[i + 1 :]) for i, s in enumerate(steps)):
            if action is Action.ENV:
                if not rest or rest[-1] in {"-", "value"} or rest[-1].isdigit():
                    self._patched_env(rest, value)
            elif action in (Action.COMMAND, Action.ARGS):
                self._patched_arguments(action, rest, value)
            elif action in (Action.CREDENTIAL, Action.CREDENTIAL_TEXT, Action.OWN):
                self.credential(value)
            elif action is Action.COPY:
                self.copy(value)

    def _patched_env(self, rest: list[str], value: int) -> None:
        if rest and rest[-1] == "value":
            self.whole(value, "env")
            return
        self.env(value)
        self.members(self.redactor.names(self.own), value + 2, self.env_end)

    def _patched_arguments(self, action: Action, rest: list[str], value: int) -> None:
        first = action is Action.COMMAND and rest in ([], ["0"])
        if self.redactor.rules.args != "keep":
            (self.command if first else self.args)(value)

    def own_paths(self) -> None:
        for rule in self.own:
            if rule.path:
                for place in paths_to(self.pieces, rule.path):
                    self.put(place, None, rule.name)

    def texts(self, *, credentials: bool, embedded: bool) -> None:
        """Clean every string that is no key: JSON in it, credentials in it, own patterns."""
        pieces = self.pieces
        embedded = embedded and self.depth < _MAX_EMBEDDED
        for place in range(1, len(pieces), 2):
            piece = pieces[place]
            if (len(piece) < 8 and not self.patterns) or is_key(pieces, place):
                continue
            if embedded and piece[:1] in (b"{", b"[") and b"\0" in piece:
                self._embedded_text(place)
            if credentials and may_hold_credentials(pieces[place]):
                text = text_of(pieces[place])
                new = clean(text, self.replacement)
                if new != text:
                    self.put(place, piece_of(new), "text")
            for rule in self.patterns:
                self.own_pattern(place, rule)

    def _is_copy(self, place: int) -> bool:
        """Tell a copy of the object, which has been dealt with."""
        if not is_member_value(self.pieces, place) or "last-applied" in self.redactor.rules.off:
            return False
        return self.redactor.names(self.own)[self.pieces[place - 2]] is Action.COPY

    def _embedded_text(self, place: int) -> None:
        if self._is_copy(place):
            return
        try:
            compacted(text_of(self.pieces[place]).encode())
        except (UnreadableError, UnicodeEncodeError):
            return  # text that only begins like JSON
        self._embedded(place, "key")

    def own_pattern(self, place: int, rule: OwnRule) -> None:
        text = text_of(self.pieces[place])
        if rule.pattern:
            new = rule.pattern.sub(lambda match: self.replacement(match[0]), text)
            if new != text:
                self.put(place, piece_of(new), rule.name)


_ACT: tuple[Callable[[_Scan, int], int | None], ...] = (
    lambda _scan, _key: None,
    _Scan.credential,
    _Scan.credential_text,
    _Scan.data,
    _Scan.env,
    _Scan.command,
    _Scan.args,
    _Scan.copy,
    _Scan.message,
    _Scan.value,
    _Scan.schema,
    _Scan.own_key,
)


def paths_to(pieces: list[bytes], steps: tuple[str, ...]) -> Iterator[int]:
    """Yield the places of the strings at or below the path."""
    pattern = re.compile(
        "".join(
            r"(?:/[^/]*)*" if s == "**" else r"/[^/]*" if s == "*" else "/" + re.escape(s)
            for s in steps
        )
        + r"(?:/.*)?",
        re.DOTALL,
    )
    stack: list[str] = []
    counts: list[int] = []
    for place in range(1, len(pieces), 2):
        _follow(pieces[place - 1], stack, counts)
        if is_key(pieces, place):
            stack[-1] = text_of(pieces[place]).replace("/", "~")
        elif pattern.fullmatch("/" + "/".join(stack)):
            yield place


def _follow(punctuation: bytes, stack: list[str], counts: list[int]) -> None:
    """Keep the path of names and indexes through what stands between two strings."""
    for mark in re.findall(rb"[\[\]{},]", punctuation):
        if mark in b"{[":
            stack.append("0" if mark == b"[" else "")
            counts.append(0 if mark == b"[" else -1)
        elif mark in b"}]":
            if stack:
                stack.pop()
                counts.pop()
        elif counts and counts[-1] >= 0:
            counts[-1] += 1
            stack[-1] = str(counts[-1])
