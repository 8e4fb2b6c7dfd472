"""Tells in one pass over a body's bytes that redaction has nothing to do in it.

Most bodies hold no word of the grammar, no member that a rule is about and no quote inside a value.
They are neither taken apart nor decoded. Whatever holds one is looked at by its names.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.matcher import Sought, matcher_of
from k8s_audit_otlp.event.secrets.needles import NEEDLES, sought_for

# Members that a rule is about, beside those whose name says credential; see `names`.
_MEMBERS: Final = (
    *('"env', "environment", "envvar", "env_", "_env", "envs", '"command"', '"args"', '"data"'),
    *('"value"', '"default"', '"defaultvalue"', '"stringvalue"', "last-applied", "openapiv3schema"),
    *("kapp.k14s.io/original", "objectset.rio.cattle.io", 'headers"', "secure", '"kty"'),
    *("sensitive", "confidential"),
    *("containerenv", "podenv", "extraenv", "env:", "path: /data"),  # two as YAML in a text
)
# In a body these are in most names and texts and tell nothing that `names` or a value does not.
_LEFT_OUT: Final = frozenset(("value", '"data'))
_WORDS: Final = tuple(
    dict.fromkeys((*(needle for needle in NEEDLES if needle not in _LEFT_OUT), *_MEMBERS))
)
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
# Of a letter: the names must be read first. Of a sign that Go does not escape: an address.
_NEEDLESS_ESCAPE: Final = rb"""\\(?:/|u00(?:2[013457-9a-f]|3[0-9abdf]|[4-7]))"""
# What makes the members of a body mean something to one another: the kind of an object that holds
# secrets, whose data may stand anywhere, and the operations of a patch.
_KINDS: Final = (
    rb'(?-i:"(Secret|ConfigMap)(List)?")',  # not the `configMap` of a volume
    rb'(?-i:"((Cluster)?(ExternalSecret|SecretStore)|SealedSecret|PushSecret|Fake)")',
    rb'"op":',
)


def _in_json(word: str) -> Sought:
    """Return what is looked for to find a needle in JSON, where quotes in a text are escaped."""
    if '"' in word and word not in _MEMBERS:
        return re.compile(re.escape(word).encode().replace(b'"', rb'\\*"'))
    return sought_for(word)


_patterns = map(re.compile, (*_PATTERNS, _NEEDLESS_ESCAPE, *_KINDS))
_found = matcher_of([*map(_in_json, _WORDS), *_patterns])
_BY_PARTS: Final = (1 << len(_WORDS) + len(_PATTERNS)) - 1  # found, and yet judged one by one
_DIRTY: Final = _BY_PARTS << 1 | 1


def is_clean(body: bytes) -> bool:
    """Tell whether a body, whatever its rules, leaves as it is. *False* says only: look at it."""
    return not _found(body) & _DIRTY


def look(body: bytes) -> tuple[bool, bool]:
    """Tell of a body whether it is clean, and whether its members may be judged one by one."""
    found = _found(body)
    return not found & _DIRTY, found <= _BY_PARTS
