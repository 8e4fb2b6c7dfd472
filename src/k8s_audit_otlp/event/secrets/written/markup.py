"""Credentials in markup: elements and attributes of XML and HTML, cells, labels in bold type.

`<password>X</password>`, `<add key="token" value="X"/>`, `<td>Password</td><td>X</td>`,
`**Password:** X`.
"""

import re
from functools import partial
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import is_reference, names_one_value
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import Step, quoted, says_credential, where
from k8s_audit_otlp.event.secrets.values import is_credential, names_a_file, says_which
from k8s_audit_otlp.event.secrets.written.remarks import is_remark

# One that holds a text, or one that holds such a one and nothing before it.
_ELEMENT = (
    r"(?P<open><(?P<outer>[\w.:-]{1,64})(?P<of_outer>\s[^<>]{0,512})?>\s{0,64}"
    r"(?:<(?P<inner>[\w.:-]{1,64})(?P<of_inner>\s[^<>]{0,128})?>\s{0,64})?(?:<!\[CDATA\[)?)"
    r"(?P<value>(?<=CDATA\[)[^\]]+|[^<>\]]+)(?=\]\]>|</)"
)
_LISTED = (  # of Apple, of Hadoop, of calls as XML
    r"<(?:key|name|n|k|id|label|field|[\w:]{1,16}-name)>(?P<name>[^<>]{1,128})</[\w:-]{1,32}>\s{0,64}"
    r"(?:<description>[^<>]{0,256}</description>\s{0,64})?(?:<[\w:-]{1,32}>\s{0,8}){1,2}"
    r"(?P<value>[^<>]+)"
)
_LISTED_BEFORE = (  # of Hadoop, too
    r"<value>(?P<value>[^<>]+)</value>\s{0,64}(?:<\w{1,32}>[^<>]{0,256}</\w{1,32}>\s{0,64}){0,2}"
    r"<name>(?P<name>[^<>]{1,128})</name>"
)
_TAG = r"<([\w.:-]{1,64})(\s[^<>]{0,512})(?=>)"
# A field of a form that a browser sends, in a part of its own.
_FORM = (
    r"\bname=[\"\\]{0,4}(?P<name>[\w.\[\]-]{1,64})[\"\\]{0,4}[^\n]{0,64}\n"
    r"(?:[\w-]{1,32}:[^\n]{1,64}\n){0,3}[ \t\r]*\n(?P<value>[^\s-][^\n]*)"
)
_NAMING_ATTRIBUTE = re.compile(
    r"\b(?:name|key|id|type|n|k|label|field|property|attribute|prompt)"
    r"\s?=\s?\\{0,8}[\"']([^\"'<>\\]{1,128})\\{0,8}[\"']",
    re.IGNORECASE,
)
_VALUE_ATTRIBUTE = re.compile(
    r"(\b(?:value|content|val|v|text|data|default)\s?=\s?)"
    r"(\\{0,8}\"[^\"\\]*\\{0,8}\"|'[^']*')",
    re.IGNORECASE,
)
_OF_BRACKETS = r"\[(?P<name>[\w.-]{2,64})\](?P<value>[^\[\]\n]{4,128})(?=\[/(?P=name)\])"
# A label and what it is of: of the two a colon stands between, or each is an element or a cell.
_LABEL = r"(?P<name>[A-Za-z][\w.-]{1,31}+(?:[ ][A-Za-z]{2,16}){0,2}+)"
_OPEN = r"<(?P<value_in>[a-z][a-z\d]{0,9})(?:\s[^<>]{0,128})?>"
_VALUE = r"(?P<value>[^\s<>\"'`*|{}]{4,128})"
_MARKED = (
    rf"{_LABEL}(?:[ ]?:[ ]?(?:(?:\*\*|__)[ ]|</[a-z]{{1,10}}>(?:\s{{0,8}}{_OPEN})?)"
    rf"|(?:\*\*|__)[ ]?:[ ]|</[a-z]{{1,10}}>[ ]?:[ ]|[ ]?:[ ]{_OPEN.replace('value_in', 'in')})"
    rf"\s{{0,8}}[*_`\"']{{0,2}}{_VALUE}"
)
_CELLS = (
    r"<(?P<of>td|th|dt|span|label|div|b)(?:\s[^<>]{0,128})?>\s{0,8}"
    rf"{_LABEL}:?\s{{0,8}}</(?P=of)>\s{{0,16}}{_OPEN}\s{{0,8}}(?:<[a-z]{{1,10}}>)?{_VALUE}"
)
_ROW = (
    rf"(?m)^[ \t]*\|[ \t]*[*_`]{{0,2}}{_LABEL}[*_`]{{0,2}}[ \t]*\|[ \t]*[`*\"]{{0,2}}{_VALUE}"
    r"(?=[`*\"]{0,2}[ \t]*\|[ \t]*$)"
)


def _states(attributes: str | None) -> bool:
    """Tell attributes that name a credential, as `key="password"`."""
    return bool(attributes) and any(
        map(says_credential, _NAMING_ATTRIBUTE.findall(attributes or ""))
    )


def _element(replacement: Replacement, match: re.Match[str]) -> str:
    outer, inner, value = match["outer"], match["inner"], match["value"].strip()
    says = is_credential(inner or outer, value) or _states(match["of_inner"])
    if not (inner and is_reference(inner)):
        says = says or says_credential(outer) or _states(match["of_outer"])
    if not value or not says or names_a_file(inner or outer, value):
        return match[0]
    return match["open"] + replacement(match["value"])


def _tag(replacement: Replacement, match: re.Match[str]) -> str:
    if not says_credential(match[1]) and not _states(match[2]):
        return match[0]
    return f"<{match[1]}{_VALUE_ATTRIBUTE.sub(partial(quoted, replacement), match[2])}"


def _labelled(replacement: Replacement, match: re.Match[str]) -> str:
    name, value = match["name"].replace(" ", "_"), match["value"]
    between_heads = match.groupdict().get("of") == match.groupdict().get("value_in") == "th"
    if not names_one_value(name) or is_remark(value) or says_which(name, value) or between_heads:
        return match[0]
    return match[0].removesuffix(value) + in_quotes(value, replacement)


STEPS: Final[tuple[Step, ...]] = (
    Step(("</",), _ELEMENT, _element),
    *(Step(("</",), listed, where(says_credential)) for listed in (_LISTED, _LISTED_BEFORE)),
    Step(("value", "content="), _TAG, _tag),
    Step((), _TAG, _tag, (" v=", " val=", " text=", " data=", " default=")),
    Step(("form-data",), _FORM, where(says_credential)),
    Step(("</",), _CELLS, _labelled),
    Step((), _MARKED, _labelled, ("**", "__", "</")),
    Step((), _ROW, _labelled, ("|",)),
    Step((), _OF_BRACKETS, where(says_credential), ("[/",)),
)
