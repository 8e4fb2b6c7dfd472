"""Values of a request in the messages about it: of validation, of decoders, of whatever prints Go.

Which text a message can be is told by upstream's source.
"""

import re
from typing import Final, NamedTuple

from k8s_audit_otlp.event.secrets.grammar import KeyVerdict, is_reference, judge
from k8s_audit_otlp.event.secrets.randomness import looks_random
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import Step, quoted, second

_DUMP = (
    r"(?s)((?:(?<!Labels:)(?<!Selector:)(?<!Labels: )map\[|got &?\{|valueUnstructured\{"
    r"|got &value\.))(.*)"
)
_QUOTED = r"(\"(?:[^\"\\]|\\.)*+\"?|`[^`]*`?|'[^']*'?)"
# What a decoder says before it quotes what it could not read.
UNREAD_NEEDLES: Final = (
    *("parsing ", "parse ", "unmarshal ", "decode ", "decoding ", 'time "', "got ", "near "),
    *("byte ", "string: "),
)
# What a decoder could not read: strconv, time.Parse, yaml, json, quantities.
_UNREAD = (
    r"(\b(?:parsing(?: time)?|parse|unmarshal(?: !!\w{1,32})?|decod(?:e|ing)|got|near"
    r"|byte \d{1,19}(?: in|:)|of type string:) )" + _QUOTED
)
_UNREAD_NUMBER = r"(\bgot (?:float64|int64|integer|number) \()([^)\s]+)"
_PLAIN_ADDRESS = re.compile(
    r"\"https?://[a-z0-9.-]{1,128}(?::\d{1,5})?(?:/[a-z0-9._-]{0,32}){0,4}\""
)
# The same where nothing but a decoder says so.
_UNREAD_ANYWHERE = (
    r"((?:unmarshal(?: (?:!!)?\w{1,32})?|byte \d{1,19}(?: in|:)|: parsing) )" + _QUOTED
)

# A refused request is told what was wrong with it: k8s.io/apimachinery pkg/util/validation/field,
# sigs.k8s.io/structured-merge-diff typed errors, Go's %v of a map.
_ECHO = (
    r"(?s)((?:Invalid|Unsupported|Duplicate) value: )"
    r"(\"(?:[^\"\\]|\\.)*+\"?|[{\[&].*|map\[.*|[^\s:,]+)"
)
# Fields of k8s.io/api that name, place or count; a short word or number in them tells no secret.
_TELLING_FIELDS = frozenset(
    """
    name namespace generateName kind apiVersion resourceVersion uid type protocol restartPolicy
    port targetPort nodePort containerPort hostPort clusterIP replicas minReplicas maxReplicas
    parallelism completions backoffLimit serviceName serviceAccountName nodeName storageClassName
    accessModes imagePullPolicy dnsPolicy operator effect verbs resources apiGroups path mountPath
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
_LONGEST_PATH = 200  # characters before an echo in which its field is looked for
_FIELD = re.compile(r"(?:^|[\s\[.])(\w+)(\])?(?:\[\d+\])?: \Z")
_PLAIN = re.compile(r"\"?[A-Za-z0-9_./ -]{0,63}\"?")
_HOLDING = frozenset(("value", "data", "stringData", "default"))  # anything
_NUMBER = re.compile(r"(\"?)-?\d{1,10}(?:\.\d{1,10})?\1|true|false|null")
_CHOICE = re.compile(r"\"[A-Za-z-]{0,31}\"")  # one of several that were allowed
# What upstream says of a name that breaks its rules: apimachinery pkg/util/validation.
_RULE_OF_NAMES = re.compile(
    r": (?:an? (?:lowercase |valid |qualified )?(?:RFC |label|name|DNS|config key)|must be no more)"
)
_PRINTABLE = re.compile(r"\"[\x20-\x7e]{0,63}\"")


def _echo(replacement: Replacement, match: re.Match[str]) -> str:
    if _tells_no_secret(match):
        return match[0]
    value = match[2]
    closed = len(value) > 1 and value[0] == value[-1] == '"'
    return match[1] + (in_quotes(value, replacement) if closed else replacement(value))


def _tells_no_secret(echo: re.Match[str]) -> bool:
    """Tell a rejected name or port: the field before it says so, and it looks like one."""
    start = echo.start()
    field = _FIELD.search(echo.string[max(0, start - _LONGEST_PATH) : start])
    if field is not None and judge(field[1]) is KeyVerdict.CREDENTIAL:
        return False  # also as the key of a map
    if _PRINTABLE.fullmatch(echo[2]) and _RULE_OF_NAMES.match(echo.string, echo.end()):
        return True
    if field is None or field[2]:
        return False
    if field[1] in _TELLING_FIELDS or is_reference(field[1]):
        return _PLAIN.fullmatch(echo[2]) is not None and not looks_random(echo[2])
    told = _CHOICE if echo[1].startswith("Unsupported") else _NUMBER
    names_nothing = field[1] in _HOLDING or judge(field[1]) is not KeyVerdict.HARMLESS
    return not names_nothing and told.fullmatch(echo[2]) is not None


# What k8s.io/apimachinery pkg/api/errors and k8s.io/apiserver's ForbiddenMessage say most often.
_NAMED = r'[a-z0-9-]{1,63}s(?:\.[a-z0-9.-]{1,190})?(?: "([^"\\]*)")?'
_OWN_SENTENCES = tuple(
    re.compile(sentence).fullmatch
    for sentence in (
        _NAMED
        + r' is forbidden: User "(?P<user>[^"\\]*)" cannot [a-z]{1,20} resource "([^"\\]*)" in API '
        r'group "([^"\\]*)" (?:in the namespace "([^"\\]*)"|at the cluster scope)',
        _NAMED + r" (?:not found|already exists)",
        r"Operation cannot be fulfilled on " + _NAMED + r": the object has been modified; please "
        r"apply your changes to the latest version and try again",
    )
)


class Quoted(NamedTuple):
    """What a sentence quotes: of an object, and the one who asked."""

    values: list[str]
    user: str


def quoted_in(text: str) -> Quoted | None:
    """Return what a sentence of kube-apiserver's own quotes; None of any other text.

    Nothing in such a sentence tells something about a value, so each may be judged on its own.
    """
    for sentence in _OWN_SENTENCES:
        if found := sentence(text):
            of_user = found.re.groupindex.get("user")
            values = [v for i, v in enumerate(found.groups(), 1) if v and i != of_user]
            return Quoted(values, found[of_user] if of_user else "")
    return None


def _unread(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace what could not be read, not the address of who issued it: `got "https://idp"`."""
    is_address = match[1] == "got " and _PLAIN_ADDRESS.fullmatch(match[2]) is not None
    kept = is_address and not looks_random(match[2])
    return match[0] if kept else quoted(replacement, match)


def _dump(replacement: Replacement, match: re.Match[str]) -> str:
    text, value = match[0], match[2]
    end = max(value.rfind("]"), value.rfind("}"))
    is_cut = text.count("{") + text.count("[") > text.count("}") + text.count("]")
    if end < 0 or is_cut:  # it ends before the last bracket of what is printed
        return match[1] + replacement(value)
    return match[1] + replacement(value[:end]) + value[end:]


STEPS: tuple[Step, ...] = (
    Step(("alue: ",), _ECHO, _echo),
    Step(("unmarshal ", "byte ", "parsing "), _UNREAD_ANYWHERE, quoted),
)
# For texts that are known to be messages.
STEPS_IN_PROSE: tuple[Step, ...] = (
    Step(("map[", "got &", "got {", "valueunstructured{"), _DUMP, _dump),
    Step(UNREAD_NEEDLES, _UNREAD, _unread),
    Step(("got ",), _UNREAD_NUMBER, second),
)
