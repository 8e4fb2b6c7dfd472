"""Takes the redacted values out of a message of kube-apiserver.

Which text a message can be is told by upstream's source; what else may stand in it is `text`'s.
"""

import re

from k8s_audit_otlp.event.secrets.needles import UNREAD_NEEDLES
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.text import clean

_DUMP = re.compile(
    r"((?:(?<!Labels:)map\[|got &?\{|valueUnstructured\{|got &value\.))(.*)", re.DOTALL
)
# What a decoder could not read: strconv, time.Parse, yaml, json, quantities.
_UNREAD = re.compile(
    r"(\b(?:parsing(?: time)?|parse|unmarshal(?: !!\w{1,32})?|decod(?:e|ing)|got|near"
    r"|byte \d{1,19}(?: in|:)|of type string:) )"
    r"(\"(?:[^\"\\]|\\.)*+\"?|`[^`]*`?|'[^']*'?)"
)

# What k8s.io/apimachinery pkg/api/errors and k8s.io/apiserver's ForbiddenMessage say most often.
_NAMED = r'[a-z0-9.-]{1,253}(?: "([^"\\]*)")?'
_OWN_SENTENCES = tuple(
    re.compile(sentence).fullmatch
    for sentence in (
        _NAMED + r' is forbidden: User "([^"\\]*)" cannot [a-z]{1,20} resource "([^"\\]*)" in API '
        r'group "([^"\\]*)" (?:in the namespace "([^"\\]*)"|at the cluster scope)',
        _NAMED + r" (?:not found|already exists)",
        r"Operation cannot be fulfilled on " + _NAMED + r": the object has been modified; please "
        r"apply your changes to the latest version and try again",
    )
)


def values_in(text: str) -> list[str] | None:
    """Return what a sentence of kube-apiserver's own quotes; None of any other text.

    Nothing in such a sentence tells something about a value, so each may be judged on its own.
    """
    for sentence in _OWN_SENTENCES:
        if found := sentence(text):
            return [value for value in found.groups() if value]
    return None


def clean_message(text: str, replacement: Replacement) -> str:
    """Take out what a Status message prints of an object, and all that `clean` does."""

    def dump(match: re.Match[str]) -> str:
        value = match[2]
        end = max(value.rfind("]"), value.rfind("}"))
        if end < 0 or _is_cut(match[0]):
            return match[1] + replacement(value)
        return match[1] + replacement(value[:end]) + value[end:]

    def unread(match: re.Match[str]) -> str:
        return match[1] + in_quotes(match[2], replacement)

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
