"""Takes the redacted values out of a message of kube-apiserver.

Which text a message can be is told by upstream's source; what else may stand in it is `text`'s.
"""

import re

from k8s_audit_otlp.event.secrets.needles import UNREAD_NEEDLES
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.text import clean

# A refused request is told what was wrong with it: k8s.io/apimachinery pkg/util/validation/field,
# sigs.k8s.io/structured-merge-diff typed errors, Go's %v of a map.
_ECHO = re.compile(
    r"((?:Invalid|Unsupported|Duplicate) value: )"
    r"(\"(?:[^\"\\]|\\.)*+\"?|[{\[&].*|map\[.*|[^\s:,]+)",
    re.DOTALL,
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
_FIELD = re.compile(r"(?:^|[\s\[.])(\w+)(?:\[\d+\])?: \Z")
_PLAIN = re.compile(r"\"?[A-Za-z0-9_./ -]{0,63}\"?")
# What upstream says of a name that breaks its rules: apimachinery pkg/util/validation.
_RULE_OF_NAMES = re.compile(
    r": (?:an? (?:lowercase |valid |qualified )?(?:RFC |label|name|DNS)|must be no more)"
)
_PRINTABLE = re.compile(r"\"[\x20-\x7e]{0,63}\"")
_DUMP = re.compile(
    r"((?:(?<!Labels:)map\[|got &?\{|valueUnstructured\{|got &value\.))(.*)", re.DOTALL
)
# What a decoder could not read: strconv, time.Parse, yaml, json, quantities.
_UNREAD = re.compile(
    r"(\b(?:parsing(?: time)?|cannot parse|got|at input byte \d{1,19}:|of type string:)[ ]"
    r"|unmarshal !!\w{1,32} )"
    r"(\"(?:[^\"\\]|\\.)*+\"?|`[^`]*`?)"
)


def clean_message(text: str, replacement: Replacement) -> str:
    """Take the values that a Status message echoes out of it, and all that `clean` does."""

    def echo(match: re.Match[str]) -> str:
        value = match[2]
        if _tells_no_secret(match):
            return match[0]
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        return (
            f'{match[1]}"{replacement(value[1:-1])}"' if quoted else match[1] + replacement(value)
        )

    def dump(match: re.Match[str]) -> str:
        value = match[2]
        end = max(value.rfind("]"), value.rfind("}"))
        if end < 0 or _is_cut(match[0]):
            return match[1] + replacement(value)
        return match[1] + replacement(value[:end]) + value[end:]

    def unread(match: re.Match[str]) -> str:
        return match[1] + in_quotes(match[2], replacement)

    if " value: " in text:
        text = _ECHO.sub(echo, text)
    if "map[" in text or "got &" in text or "got {" in text or "valueUnstructured{" in text:
        text = _DUMP.sub(dump, text)
    if quotes_unread(text):
        text = _UNREAD.sub(unread, text)
    return clean(text, replacement, prose=True)


def quotes_unread(text: str) -> bool:
    """Tell quickly whether a text may quote what a decoder could not read."""
    return any(map(text.__contains__, UNREAD_NEEDLES))


def _is_cut(text: str) -> bool:
    """Tell what is printed of an object and ends before its last bracket."""
    opened = text.count("{") + text.count("[")
    return opened > text.count("}") + text.count("]")


def _tells_no_secret(echo: re.Match[str]) -> bool:
    """Tell a rejected name or port: the field before it says so, and it looks like one."""
    if _PRINTABLE.fullmatch(echo[2]) and _RULE_OF_NAMES.match(echo.string, echo.end()):
        return True
    start = echo.start()
    field = _FIELD.search(echo.string[max(0, start - _LONGEST_PATH) : start])
    known = field is not None and field[1] in _TELLING_FIELDS
    return known and _PLAIN.fullmatch(echo[2]) is not None
