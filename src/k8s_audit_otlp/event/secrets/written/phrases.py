"""Credentials that only a name tells from other words: phrases of words, communities of SNMP.

`unlock: onion-fossil-beacon`, `keyslot0 = "plaster fiddle helmet"`, `community: magnolia`.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import words_of
from k8s_audit_otlp.event.secrets.randomness import looks_drawn

# The last word of a name whose value is a credential if it is a phrase.
_PHRASED: Final = frozenset(
    "wifi wlan wpa luks keyslot unlock phrase passphrase mnemonic seed bip words".split()  # noqa: SIM905
)
# Three words or more with the same sign between; in a sentence there are some of the others.
PHRASE: Final = re.compile(
    r"[A-Za-z][a-z]{2,11}(?P<between>[-_.+,]|,? )[A-Za-z][a-z]{2,11}"
    r"(?:(?P=between)[A-Za-z][a-z]{2,11}){1,23}(?![\w-])"
)
_IN_SENTENCES = re.compile(
    r"(?i)\b(?:the|and|not|for|with|you|your|are|was|this|that|from|any|all|when|after|before|first"
    r"|only|always|never|must|should|can|has|have|does|will|use|used|set|key|mode|site|enabled"
    r"|disabled|required|network|press|enter|admin|user|default|policy|cluster|node|role)\b"
)
_WORDS = re.compile(
    rf"[\s\"'\\(]{{0,8}}(?:{PHRASE.pattern}|[A-Za-z]\w{{4,32}})"
    r"(?=[\s\"'`<>\\)]|,[ \t\n]|[ \t]*\}|[;.]?\Z)"
)
_COMMUNITY = re.compile(  # of SNMP; not of people
    r"(?!public|private|default|open|kubernetes|enterprise|enabled|disabled|none)[A-Za-z]\w{4,32}"
)


def names_phrase(name: str) -> bool:
    """Tell a name whose value is a credential if it is a phrase: `unlock`, `keyslot0`, `wpa2`."""
    words = [word for word in words_of(name) if not word.isdigit()]
    return not _PHRASED.isdisjoint(words[-1:])


def is_phrase(text: str) -> bool:
    """Say whether it is a phrase of words as people make them up: `onion-fossil-beacon`."""
    return PHRASE.fullmatch(text) is not None and _IN_SENTENCES.search(text) is None


def is_told_by_words(name: str, text: str, at: int) -> bool:
    """Tell a value at *at* in a text that may be a credential without a digit, by its name.

    Where it does not end soon it is none: to find its end would cost as much as the text is long.
    """
    if _WORDS.match(text, at) is None:
        return False
    return words_of(name)[-1:] == ("community",) or names_phrase(name)


def is_told(name: str, value: str) -> bool:
    """Say whether a value is a credential under a name that says it of what is drawn only."""
    if looks_drawn(value):
        return True
    bare = value.strip("\"',;}")
    if names_phrase(name):
        return is_phrase(bare)
    return words_of(name)[-1:] == ("community",) and _COMMUNITY.fullmatch(bare) is not None
