"""Says what the name of a member of a body calls for. Each distinct name is judged once."""

from enum import IntEnum

import msgspec

from k8s_audit_otlp.event.bounded_cache import BoundedCache
from k8s_audit_otlp.event.redact.rules import OwnRule, RedactionRules
from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_environment,
    judge,
    may_name_drawn,
    names_one_value,
    refers_to_credential,
    words_of,
)
from k8s_audit_otlp.event.secrets.prefilter import NAMES, needles_in
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import NOT_IN_NAMES, clean, clean_forms
from k8s_audit_otlp.event.splice.tokens import text_of

_MAX_NAMES = 8192  # distinct member names remembered
_LONGEST_KEPT = 256  # bytes


class Action(IntEnum):
    """What a name calls for; the first three are the verdicts of `keys`."""

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
    LABELS = 11
    OWN = 12
    RENAME = 13  # the name itself holds a credential
    OWNED = 14  # a managed field whose name says that it has values
    DRAWN = 15  # a credential where the value looks drawn
    HOLDER = 16  # whatever in it looks drawn is, by whatever name
    TABLE = 17  # the columns of a table, whose rows follow
    REFERENCE = 18  # of a credential, which may stand there itself
    LISTED = 19  # credentials, if it is a list: those that were before


# What changed, was answered or typed: a value beside the name of one.
ANSWERING = frozenset(
    """
    to from old new before after left right previous current given actual a answer reply response
    input send with
    """.split()  # noqa: SIM905
)
# Members that mean the same in every kind of k8s.io/api, and annotations that repeat the object.
_ACTIONS = {
    "httpHeaders": Action.ENV,
    **dict.fromkeys(("labels", "matchLabels", "selector", "nodeSelector"), Action.LABELS),
    **dict.fromkeys(("commonLabels", "podLabels", "labelSelector"), Action.LABELS),
    **dict.fromkeys(("default", "defaultValue", "stringValue", "v", "example"), Action.VALUE),
    **dict.fromkeys(("d", "k", "p", "q", "dp", "dq", "qi"), Action.VALUE),  # of a JSON Web Key
    **dict.fromkeys(("answer", "response", "reply", "send"), Action.VALUE),  # beside a prompt
    "command": Action.COMMAND,
    "args": Action.ARGS,
    "message": Action.MESSAGE,
    "value": Action.VALUE,
    "openAPIV3Schema": Action.SCHEMA,
    **dict.fromkeys(("columnDefinitions", "columns", "header", "fields", "names"), Action.TABLE),
    **dict.fromkeys(("cols", "columnNames", "fieldNames"), Action.TABLE),
    **dict.fromkeys(ANSWERING, Action.VALUE),
    "$": Action.VALUE,
    "kubectl.kubernetes.io/last-applied-configuration": Action.COPY,
    "kapp.k14s.io/original": Action.COPY,
    "objectset.rio.cattle.io/applied": Action.COPY,
}
_DATA = frozenset({"data", "stringdata", "binarydata"})  # also where a client got the case wrong
_VALUE_WORDS = frozenset(
    "value values val literal text string map array content contents arg inline raw plain".split()  # noqa: SIM905
)
_HOLDERS = frozenset({"secure", "sensitive", "confidential"})
_MOST_WORDS = 2  # `headerValue`
_WITH_VALUES = frozenset(
    (Action.CREDENTIAL, Action.CREDENTIAL_TEXT, Action.ENV, Action.COMMAND, Action.ARGS)
)
_VALUE = 'v:"'  # a managed field of this beginning is named by a value
_SHORTEST_VALUE = 8  # characters of a name that may hold a credential
_ANY = Replacement(None)
_RULE_OF = {Action.ENV: "env", Action.COMMAND: "args", Action.ARGS: "args"}


class Names(BoundedCache[bytes, Action]):
    """Member name, as its piece -> action."""

    def __init__(self, rules: RedactionRules, own: tuple[OwnRule, ...]) -> None:
        super().__init__(self._action, most=_MAX_NAMES, longest=_LONGEST_KEPT)
        self._rules, self._own = rules, own

    def _action(self, piece: bytes) -> Action:
        name = text_of(piece)
        if any(rule.keys and rule.keys.search(name) for rule in self._own):
            return Action.OWN
        found = needles_in(name)
        if (
            (found or name.startswith(_VALUE))
            and "text" not in self._rules.off
            and clean_name(name, _ANY) != name
        ):
            return Action.RENAME
        if name.startswith("f:") and not name.startswith("f:", 2):
            return Action.OWNED if self[piece[2:]] in _WITH_VALUES else Action.NONE
        verdict = judge(name) if found & NAMES else KeyVerdict.HARMLESS
        action = _ACTIONS.get(name) or _of_its_words(name, verdict)
        if action is not None:
            off = _RULE_OF.get(action, "") in self._rules.off
            return Action.NONE if off else action
        if verdict is KeyVerdict.HARMLESS and may_name_drawn(name):
            return Action.DRAWN
        if found & NAMES and refers_to_credential(name):
            return Action.REFERENCE
        return Action(int(verdict))


def clean_name(name: str, replacement: Replacement) -> str:
    """Take out of a member's name what is no name: managed fields write values so (`v:"..."`)."""
    if len(name) < _SHORTEST_VALUE:
        return name
    if name.startswith(_VALUE):
        return _clean_escaped(name, replacement)
    says_value = name.startswith(("k:", "v:")) or any(map(name.__contains__, NOT_IN_NAMES))
    return clean(name, replacement) if says_value else clean_forms(name, replacement)


def _clean_escaped(name: str, replacement: Replacement) -> str:
    """Clean a value of a managed field as it reads: of several lines, or with quotes in it."""
    try:
        value = msgspec.json.decode(name[2:], type=str)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return clean(name, replacement)
    new = clean(value, replacement)
    return name if new == value else "v:" + msgspec.json.encode(new).decode()


def _of_its_words(name: str, verdict: KeyVerdict) -> Action | None:
    if name.lower() in _DATA:
        return Action.DATA
    if is_environment(name):
        return Action.ENV
    words = words_of(name)
    if words and words[-1] == "headers":
        return Action.HOLDER
    if verdict is not KeyVerdict.HARMLESS:
        return None
    if words[-1:] == ("history",) and names_one_value("".join(words[:-1])):
        return Action.LISTED
    if not _HOLDERS.isdisjoint(words):
        return Action.HOLDER
    of_value = 0 < len(words) <= _MOST_WORDS and words[-1] in _VALUE_WORDS
    return Action.VALUE if of_value else None
