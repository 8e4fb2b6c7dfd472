"""Credentials that a message repeats of what it was given, with the name of the field near.

`Key (api_key)=(X) already exists`, `value X for password`, `"X" is not a valid password`,
`password X does not match the policy`, `password changed from X to Y`.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import names_one_value, words_of
from k8s_audit_otlp.event.secrets.randomness import looks_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step, second, where
from k8s_audit_otlp.event.secrets.values import says_which
from k8s_audit_otlp.event.secrets.written.remarks import is_remark

_NAME = r"(?P<name>(?<![\w.\[\]-])[\w.\[\]-]{2,128}+(?: key)?)"
_WORD = (
    r"(?P<value>\"[^\"\n]{4,256}\"|'[^'\n]{4,256}'|(?<!\S)[^\W_][^\s\"'`,;:=()<>{}\[\]]{4,127}+)"
)
# Of PostgreSQL: a column and what it was given, or all of a row.
_OF_KEY = rf"\({_NAME}\)=\((?P<value>[^()\n]{{4,256}})\)"
_OF_ROW = r"(?i)(failing row contains )(\([^\n]{4,4096}\))"
# A field and what it was given.
_GIVEN = (
    rf"{_NAME}[\"'`]?(?:: value|:? (?:has |with |the )?value| got|:? given"
    rf"| in body (?:must|should)[^\n]{{1,160}}?(?:: | got ))[ ]?{_WORD}"
)
_GIVEN_FOR = (
    rf"(?i)\b(?:value|with) {_WORD} (?:for|of|as|in) (?:the )?"
    rf"(?:key |field |parameter |property |variable |column )?[\"'`]?{_NAME}"
)
_NO_VALID = (
    rf"(?i){_WORD} is (?:not )?(?:an? |the )?(?:in)?(?:valid|correct|right|wrong|expired"
    r"|acceptable|allowed) "
    r"(?P<name>password|passphrase|passcode|passwd|pin|token|api[ -]?key|secret)\b"
)
_FOR_NAME = rf"\$[({{]?{_NAME}[)}}]? (?:with|to|by|as|for) {_WORD}"  # what was put for it
_IT = r"(?:password|passwd|passphrase|passcode|pass|pw|pwd)"
_X = r"([^\W\d_][^\s\"'`,;:=/()<>{}\[\]]{5,64})"
_ENDS = r"(?=[\"'`]?[.!,]?(?:\s|\Z))"
# In quotes or brackets, or before what is said of one that was given.
_TRIED = (
    rf"(?i)((?!(?-i:PASS) Test)\b{_IT} [\"'(<`]?){_X}"
    r"(?=[\"')>`]?(?: (?:has|have|does|did|was|were|is|rejected|refused|denied|failed|got|not"
    r"|cannot|must|already|for|new|works|worked)\b|[\"')>`](?:[ .]|\Z)))"
)
_STILL = rf"(?i)(\b{_IT} (?:is still (?:set to )?|stays |remains |cannot be )[\"'`]?){_X}{_ENDS}"
_WAS_TRIED = (
    r"(?i)(\b(?:tried|gave|entered|sent|typed|expected|new|old) "
    rf"(?:the )?{_IT} [\"'`]?){_X}{_ENDS}"
)
_TRIED_AS = (
    rf"(?i)(\b(?:tried|used|use|gave|entered|sent|typed) [\"'`]?){_X}"
    rf"(?=[\"'`]? as (?:an? |the )?(?:[a-z]{{2,12}} )?{_IT}\b)"
)
_CHANGED = (
    rf"(?i)(\b{_IT}(?: \S{{1,32}}){{0,3}}? (?:from|was|:) ?[\"'`]?)"
    r"(?P<old>[^\W\d_][^\s\"'`,;:=/()<>{}\[\]]{4,64})"
    rf"(?P<between>[\"'`]?,? (?:to|now|->|new {_IT}) [\"'`]?)"
    r"(?P<new>[^\W\d_][^\s\"'`,;:=/()<>{}\[\]]{4,64})"
)


def _is_given(name: str, value: str) -> bool:
    """Tell what was given: any word as a password, as a token what is none of a sentence."""
    name = name.replace(" ", "_")
    if not names_one_value(name) or says_which(name, value.strip("\"'")) or is_remark(value):
        return False
    is_password = words_of(name)[-1].startswith(("pass", "pw"))
    return is_password or value[0] in "\"'" or looks_drawn(value)


def _is_of_key(name: str, value: str) -> bool:
    return names_one_value(name) and not says_which(name, value)


def _tried(replacement: Replacement, match: re.Match[str]) -> str:
    return match[0] if is_remark(match[2]) else second(replacement, match)


def _changed(replacement: Replacement, match: re.Match[str]) -> str:
    old, new = (x if is_remark(x) else replacement(x) for x in (match["old"], match["new"]))
    return f"{match[1]}{old}{match['between']}{new}"


_SAID: Final = ("pass", "pw", "pwd")
_VERBS: Final = ("ried ", "ave ", "ntered ", "ent ", "yped ", "xpected ", "old ", "new ")
STEPS: Final[tuple[Step, ...]] = (
    Step((), _OF_KEY, where(_is_of_key), (")=(",)),
    Step(("failing row contains",), _OF_ROW, second),
    Step((), _GIVEN, where(_is_given), ("value ", " got ", " given", " in body ")),
    Step((), _GIVEN_FOR, where(_is_given), ("alue ", "ith ")),
    Step((), _NO_VALID, where(_is_given), (" is ",)),
    Step((), _FOR_NAME, where(_is_given), ("$",)),
    Step(_SAID, _CHANGED, _changed, (" to ", " now ", " -> ", " new ")),
    Step(_SAID, _TRIED, _tried, " "),
    Step(_SAID, _STILL, _tried, (" is still ", " stays ", " remains ", " cannot be ")),
    Step(
        _SAID, _WAS_TRIED, _tried, ("ried ", "ave ", "ntered ", "ent ", "yped ", "xpected ", "old ")
    ),
    Step(_SAID, _TRIED_AS, _tried, (" as ",)),
)
