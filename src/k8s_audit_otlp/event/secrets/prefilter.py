"""The prefilter: tells in one pass over bytes what of the tables is in a text, or in a body.

Most texts hold none of the needles, and most bodies besides no member that a rule is about and no
quote inside a value. They are neither taken apart nor decoded. One matcher is made for both: to
make it is a good part of a start.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache, reduce
from operator import or_
from typing import Final

from k8s_audit_otlp.event.secrets import commands, messages, patterns, random_words, sentences
from k8s_audit_otlp.event.secrets.kept_database import KeptDatabase, KeptPatterns
from k8s_audit_otlp.event.secrets.matcher import Pattern, Sought, matcher_of
from k8s_audit_otlp.event.secrets.prefilter_needles import (
    ENCODED,
    ESCAPED,
    IN_BASE64,
    IN_JSON,
    NAME_NEEDLES,
    sought_for,
)
from k8s_audit_otlp.event.secrets.substitution_steps import Step, Steps
from k8s_audit_otlp.event.secrets.written import lines

_STEPS: Final = (
    *(*patterns.SHOWN_WHOLE, *patterns.TOKENS, *patterns.GENERATED_WORDS, *patterns.STEPS),
    *(*commands.STEPS_IN_TEXT, *messages.STEPS, *messages.STEPS_IN_PROSE, *random_words.STEPS),
    *(*sentences.STEPS, *lines.STEPS),
)
_FORM_NEEDLES: Final = (
    *(needle for step in _STEPS for needle in step.needles),
    *("eyj", ENCODED, ESCAPED, *IN_BASE64, IN_JSON),  # of what is decoded first
)
NEEDLES: Final = tuple(dict.fromkeys((*NAME_NEEDLES, *_FORM_NEEDLES)))
_BITS: Final = {needle: 1 << bit for bit, needle in enumerate(NEEDLES)}


def bits_of(needles: Iterable[str]) -> int:
    return reduce(or_, map(_BITS.__getitem__, needles), 0)


NAMES: Final = bits_of(NAME_NEEDLES)
# Names in many paths, of forms in lines and sentences: a blank is behind them, which no path has.
_OF_LINES: Final = (
    *("pass", "pw", "pwd", "psw", "pswd", "cred", "pin", "puk", "otp", "secret", "token"),
)
FORMS: Final = bits_of(_FORM_NEEDLES) & ~bits_of(_OF_LINES)


_KEPT: Final = KeptDatabase.beside_bytecode(__file__)
_patterns: Final = KeptPatterns((step.pattern for step in _STEPS), _KEPT.another("patterns"))


@cache
def _substitution(pattern: str) -> Callable[..., str]:
    return _patterns.pattern(pattern).sub


def ready(steps: Iterable[Step]) -> Steps:
    return Steps(((bits_of(step.needles) or NAMES, step) for step in steps), _substitution)


# Members that a rule is about, beside those whose name says credential; see `names`.
_MEMBERS: Final = (
    *('"env', "environment", "envvar", "env_", "_env", "envs", '"command"', '"args"', '"data"'),
    *('"value"', '"default"', '"defaultvalue"', '"stringvalue"', "last-applied", "openapiv3schema"),
    *("kapp.k14s.io/original", "objectset.rio.cattle.io", 'headers"', "secure", '"kty"'),
    *("sensitive", "confidential"),
    *("containerenv", "podenv", "extraenv", "env:", "path: /data"),  # two as YAML in a text
)
# In a body these are in most names and texts and tell nothing that `names` or a value does not.
_LEFT_OUT: Final = ("value", '"data')
# Values that a manager of fields owns in a list of arguments; JSON in a string, which is a quote
# or an escape behind a bracket, unless the string names a list's element as managedFields do (k:{
# v:); the words that were left out above, where a text has them; a blank between members.
_PATTERNS: Final = (
    rb'(args|command|env[^"]*)":\{("\.":\{\},)?"v:',
    rb"""([^:]|[^kv]:|[^"][kv]:)[{\[]\\\"""",
    rb"""[{\[]\\[nrt\\]""",
    rb"""value(\\+"|['\\])*([ \t]|\\[nrt])*[:=]""",
    rb"""\\"data\\*\"""",
    rb"""("[:,]|[{\[])\s""",
)
# Of a letter: the names must be read first. Of a sign that Go does not escape: an address. Words,
# as one pattern for all makes a scan a quarter dearer.
_NEEDLESS_ESCAPES: Final = (
    *(b"\\/", b"\\u004", b"\\u005", b"\\u006", b"\\u007"),
    *(b"\\u002%c" % digit for digit in b"01345789abcdef"),
    *(b"\\u003%c" % digit for digit in b"0123456789abdf"),
)
# What makes the members of a body mean something to one another: the kind of an object that holds
# secrets, whose data may stand anywhere, and the operations of a patch.
_KINDS: Final = (
    rb'(?-i:"(Secret|ConfigMap)(List)?")',  # not the `configMap` of a volume
    rb'(?-i:"((Cluster)?(ExternalSecret|SecretStore)|SealedSecret|PushSecret|SopsSecret|Fake)")',
    rb'"op":',
)


def _in_json(needle: str) -> Sought:
    """Return what is looked for to find a needle in JSON, too, where quotes are escaped."""
    if '"' in needle:
        return Pattern(re.escape(needle).encode().replace(b'"', rb'\\*"'))
    return sought_for(needle)


_members = [member.encode() for member in _MEMBERS if member not in NEEDLES]
SOUGHT: Final = (
    *(*map(_in_json, NEEDLES), *_members, *map(Pattern, _PATTERNS), *_NEEDLESS_ESCAPES),
    *map(Pattern, _KINDS),
)
_found = matcher_of(SOUGHT, _KEPT)
_OF_TEXTS: Final = (1 << len(NEEDLES)) - 1
_BY_PARTS: Final = (1 << len(NEEDLES) + len(_members) + len(_PATTERNS)) - 1  # judged one by one
_DIRTY: Final = (1 << len(SOUGHT) - len(_KINDS)) - 1 & ~bits_of(_LEFT_OUT)
_MARKS: Final = re.compile(r"[=:\uff1a\s\"'<({\[]")  # something stands between a name and its value


def needles_in_bytes(text: bytes) -> int:
    """Return which needles an encoded text holds, as bits."""
    return _found(text) & _OF_TEXTS


def first_form(text: bytes) -> int:
    """Return a place in the first of its lines that may hold a form of a credential, else -1."""
    return _found.first(text, FORMS)


def needles_in(text: str) -> int:
    """Return which needles a text holds, as bits."""
    return needles_in_bytes(text.encode("utf-8", "surrogatepass"))


def may_hold(text: str) -> bool:
    """Tell quickly whether a text may hold a credential in any form that the cleaner knows."""
    return holds(needles_in(text), text)


def holds(found: int, text: str) -> bool:
    """Tell the same of a text whose needles are known."""
    return bool(found & FORMS) or (found != 0 and _MARKS.search(text) is not None)


def is_clean(body: bytes) -> bool:
    """Tell whether a body, whatever its rules, leaves as it is. *False* says only: look at it."""
    return not _found(body, _DIRTY) & _DIRTY


def look(body: bytes) -> tuple[bool, bool]:
    """Tell of a body whether it is clean, and whether its members may be judged one by one."""
    found = _found(body, _DIRTY)
    return not found & _DIRTY, found <= _BY_PARTS
