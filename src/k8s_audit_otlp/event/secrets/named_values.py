"""Values behind a name and a sign, in text: `DB_PASSWORD=...`, `apiKey: ...`, `"token": "..."`.

How far a value goes is told here. Where its end is in doubt, the longer reading is masked.
"""

import re
from functools import lru_cache, partial

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_reference,
    judge,
    may_name_drawn,
    names_many,
    refers_to_credential,
)
from k8s_audit_otlp.event.secrets.randomness import PUBLIC_KEYS, WHAT_LOOKS_DRAWN, Ahead
from k8s_audit_otlp.event.secrets.replacement import MASK, QUOTE, Replacement, in_quotes
from k8s_audit_otlp.event.secrets.values import (
    IN_FLOW,
    LAST_WORDS,
    LONGEST_LEAD,
    NOTHING,
    PLACEHOLDER,
    UNQUOTED,
    end_of_block,
    end_of_quoted,
    in_flow,
    judge_members,
    judge_two_words,
    lacks,
    map_below,
    names_a_place,
    next_line,
    says_which,
    stands_in_quotes,
)
from k8s_audit_otlp.event.secrets.written.phrases import is_told, is_told_by_words
from k8s_audit_otlp.event.secrets.written.remarks import (
    SHORTEST_WORD,
    begins_a_member,
    is_phrase_line,
    is_reason,
    is_remark,
)

_NAMED = re.compile(
    r"(?<![\w.-])(?:(?<=\\)[nrt](?=\w)|-D(?=\w))?(?P<name>[\w.-]++)(?:\[\d{0,4}\])?"
    r"(?P<close>[\"'\\]{0,8}\]?)(?:[ \t]{1,16}(?:string|String)(?=[ \t]{1,8}=))?"
    r"(?:[ \t]{0,8}|\s{1,8}(?=:)|[ \t]{0,8}\\\s{1,8})"
    r"(?P<sign>=>|\?:|\|?[:?+!|=]?=|\+:|: =|::(?=[ \t])|[:\uff1a]|(?<=[ \t])(?=\{[ \t]*\n))"
    r"[ \t]{0,8}"
)
_OF_ACCOUNTS = frozenset(("system", "serviceaccount", "serviceaccounts"))
_ACCOUNT = re.compile(r":[\w.:@-]+")
_REST_OF_LINE = re.compile(r"[^\n]*")
_NO_MEMBER = r"(?![\w.-]+:(?:\s|\Z)|- )"
_ITEMS = re.compile(
    rf"(?:[ \t\r]*\n(?P<of>[ \t]*)- [^\n]*(?:\n(?P=of)[ \t]++{_NO_MEMBER}[^\n]*)*+)++"
)
_ITEM = re.compile(
    rf"(\n([ \t]*)- )([\"']?){_NO_MEMBER}([^\n\"']+(?:\n\2[ \t]++{_NO_MEMBER}[^\n]*)*+)"
)
_VALUES = frozenset(("value", "inline_string", "inlineString", "inline", "plain"))
_COMMENT = re.compile(r"#[^\n]*(?=\n[ \t])")
_TYPED = re.compile(r"[A-Za-z][\w.<>\[\]]{0,64}[ \t]{1,8}=|\[\][A-Za-z]")  # `: string = "X"`
_OBJECT = re.compile(r"\{\s*(?:[\"'\\]|[\w.-]{1,64}\s?[:=]|\}|\Z)")
_BLOCK = re.compile(r"[|>][+-]?(\d?)[+-]?[ \t\r]*\n(?:[ \t]*\r?\n)*+([+-]?[ \t]+)")
_LINE_START = re.compile(r"[ \t]*(?:- )?(?:export |set |ENV |env )?[\"']?\Z")
_PROSE = re.compile(  # two words, or a status of HTTP
    r"(?:[A-Za-z][a-z'/-]*[,:]? [A-Za-z]|[1-5]\d\d [A-Z])[A-Za-z'-]*[,.;:!]?(?=\s|\Z)"
)
_CLAUSE = 128  # characters
_LONGEST_KEPT = 64  # characters of a name that is remembered
_AMONG_MEMBERS = re.compile(r"\n[ \t]*(?:- )?[\w.-]{1,64}:(?:[ \t][^\n]*)?\n[ \t]{2,64}\Z")
# In a clause: ten letters and digits, some of each.
_NO_WORD = re.compile(r"(?<![\w.-])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])\w{10,}", re.ASCII)
# To judge one that says credential costs as much as many bytes; genuine texts have no more of them.
_FEW_NAMES, _LONG_MEMBER = 256, 64
_METHODS = frozenset(("Get", "Post", "Put", "Patch", "Delete"))  # of HTTP, before an address
_TEXT_SHORTEST = 8  # characters of a value under a name such as `auth`
_BEHIND_PROMPT = (")", ",", ";", "]")  # and its quote: `expect("password:")`
_STANDS_IN = re.compile(rf"\{{\{{|{MASK}[&;,)\]]")
# What stands for the value at another place, with what it is if it is not set there.
_EXPANDED = re.compile(r"\$\{[^}\n]{0,256}\}[^\s\"'`<>]*|\{\{[^}\n]{0,80}\}\}")
# The end of a line as a string has it, or one that goes on; then, or alone, what begins a string of
# the shell, SQL, Python, C#.
_BEFORE_A_VALUE = frozenset("\\|>$@NnBbRrUuFf/")
_BEFORE = re.compile(
    r"(?:[|>][+-]?\d?[ \t]{0,8})?"
    r"(?:\\{1,8}[nrt](?:[ \t]{1,64}|(?=[\"'`-]))|\\\r?\n[ \t]{0,64}){1,4}"
    rf"(?:- )?{_NO_MEMBER}|[$@NnBbRrUuFf]{{1,2}}(?=[\"'])|/\*[^*\n]{{0,64}}\*/[ \t]{{0,8}}"
)
# Of YAML: `!!str`, `&anchor`.
_WORD_ALONE = re.compile(r"\w{1,64}+(?=\n|\Z)")  # what most values are
_TAG = re.compile(r"(?:[!&][\w!/.:-]{0,64}(?:[ \t]{1,8}|(?=\r?\n))){1,2}")


def without_named_values(text: str, replacement: Replacement, *, prose: bool) -> str:
    """Replace the values of names that say credential."""
    if not any(map(text.__contains__, ":=\uff1a")):
        return text
    parts: list[str] = []
    kept = at = below = 0  # below: where a map ends that stands under a telling name
    of_map = KeyVerdict.HARMLESS  # the verdict on what is in it
    no_word, drawn = Ahead(text, (_NO_WORD.search,)), Ahead(text, WHAT_LOOKS_DRAWN)
    left = _FEW_NAMES + len(text) // _LONG_MEMBER
    while (match := _NAMED.search(text, at)) is not None:
        at, name = match.end(), match["name"]
        account = _ACCOUNT.match(text, at - 1) if name in _OF_ACCOUNTS else None
        if account or (at >= below and len(name) <= _LONGEST_KEPT and _says_nothing(name)):
            at = account.end() if account else at
            continue
        verdict = _verdict(text, match, of_map if at < below else None)
        if verdict is None and at >= below and (under := _map_of_reference(text, match)):
            below, of_map = under.end(), KeyVerdict.HARMLESS
        if verdict is None or (
            verdict is not KeyVerdict.CREDENTIAL
            and lacks(text, at, verdict, drawn)
            and not is_told_by_words(name, text, at)
        ):
            continue
        if (left := left - 1) < 0:  # all that is left goes
            return "".join((*parts, text[kept:at], replacement(text[at:])))
        if names_a_place(text, match) or _is_prose(text, match, no_word):
            continue
        start, end = _value_at(text, match)
        value = text[start:end]
        is_list = value[:1] == "\n" and _ITEM.search(value) is None
        if (end <= start or is_list) and at >= below and (under := map_below(text, match, start)):
            below, of_map = under.end(), judge_members(name, verdict)
        if end <= start or is_list or _states_nothing(value, match, verdict, prose=prose):
            continue
        parts += text[kept:start], _replaced(value, replacement)
        kept = at = end
    return "".join((*parts, text[kept:])) if parts else text


@lru_cache(maxsize=4096)
def _says_nothing(name: str) -> bool:
    """Tell a name that says nothing of what is behind it, as most do."""
    said = judge(name) or name.lower() in LAST_WORDS or may_name_drawn(name)
    return not (said or refers_to_credential(name))


def _replaced(value: str, replacement: Replacement) -> str:
    if value[:1] == "\n":
        return _ITEM.sub(partial(_item, replacement), value)
    return in_quotes(value, replacement)


def _verdict(text: str, match: re.Match[str], of_map: KeyVerdict | None) -> KeyVerdict | None:
    """Judge a name, also by the map that it is in; None where it says nothing."""
    name = match["name"]
    verdict = judge(name)
    if verdict is not KeyVerdict.HARMLESS:
        return verdict
    if (of_two := judge_two_words(text, match)) is not KeyVerdict.HARMLESS:
        return of_two
    if of_map is not None and not is_reference(name):
        is_value = name in _VALUES or text.startswith(("|", ">"), match.end())
        is_value = is_value and of_map is KeyVerdict.CREDENTIAL_TEXT
        return KeyVerdict.CREDENTIAL if is_value else of_map
    return verdict if may_name_drawn(name) else None


def _map_of_reference(text: str, match: re.Match[str]) -> re.Match[str] | None:
    """Return the map below a name such as `secretRef`, in which the secret may stand itself."""
    refers = refers_to_credential(match["name"])
    return map_below(text, match, match.end()) if refers else None


def _item(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + match[3] + replacement(match[4])


# What the beginning of a value tells is told first: in a text of many each may go to its end.


def _is_prose(text: str, match: re.Match[str], no_word: Ahead) -> bool:
    """Tell a clause of words, which states no value, behind a colon."""
    start, end = match.end(), match.end() + _CLAUSE
    if match["sign"] != ":" or match[0][-1:] != " ":
        return False
    if (words := _PROSE.match(text, start, end)) is None or begins_a_member(words[0]):
        return False
    if in_flow(text, match.start()) or is_phrase_line(text, start, match["name"]):
        return False
    if _AMONG_MEMBERS.search(text, max(0, match.start() - _CLAUSE), match.start()):
        return False
    word = no_word(start)
    return word >= min(end, len(text)) or text.find("\n", start, word) >= 0


def _value_at(text: str, match: re.Match[str]) -> tuple[int, int]:
    """Return where the value begins and ends; an empty range where there is none."""
    if (word := _WORD_ALONE.match(text, match.end())) is not None:
        return word.span()
    tag = _TAG.match(text, match.end()) if text[match.end() : match.end() + 1] in "!&" else None
    if tag is None:
        return _plain_value_at(text, match, match.end())
    start, end = _plain_value_at(text, match, tag.end())
    return (match.end() if start == tag.end() else start), end


def _plain_value_at(text: str, match: re.Match[str], start: int) -> tuple[int, int]:
    first = text[start : start + 1]
    if first in _BEFORE_A_VALUE and (before := _BEFORE.match(text, start)) is not None:
        start = before.end()
        first = text[start : start + 1]
    quote = QUOTE.match(text, start)
    if quote is not None:
        return start, end_of_quoted(text, start, quote[0])
    in_list = first == "[" and text[start + 1 : start + 2] == "{" and not names_many(match["name"])
    if first == "" or in_list or _OBJECT.match(text, start):
        return start, start  # what is in an object is judged by its own names
    typed = _TYPED.match(text, start) is not None
    if first == "[" and not typed:
        end = text.find("]", start)
        return start, (end if end >= 0 else len(text))
    if first in "\r\n#|>" and (span := _below(text, match, start)) is not None:
        return span
    return start, _end_of_unquoted(text, match, start, typed=typed)


def _below(text: str, match: re.Match[str], start: int) -> tuple[int, int] | None:
    """Return where a value is that stands on lines of its own; None if it begins on this one."""
    if (block := _BLOCK.match(text, start)) is not None:
        indent = min(int(block[1] or len(block[2])), len(block[2]))
        return block.end(), end_of_block(text, block.end(), indent)
    if (comment := _COMMENT.match(text, start)) is not None:
        return start, next_line(text, comment.end(), start)[1]
    if text[start] not in "\r\n":
        return None
    items = _ITEMS.match(text, start) if match["sign"] == ":" else None
    if items and names_many(match["name"]):
        return items.span()
    goes_on = match["sign"] in (":", "=>") or match[0][-2:-1].isspace()
    return next_line(text, start, start) if goes_on else (start, start)


def _end_of_unquoted(text: str, match: re.Match[str], start: int, *, typed: bool) -> int:
    lead = max(0, match.start() - LONGEST_LEAD)
    line = max(lead, text.rfind("\n", lead, match.start()) + 1)
    spaced = match[0][-1:] in " \t" or match["sign"] == "="
    spaced = spaced and not match[0].startswith("-D")
    if typed or (spaced and _LINE_START.fullmatch(text, line, match.start())):
        rest = _REST_OF_LINE.match(text, start)
        return rest.end() if rest else start
    before = text[match.start() - 1 : match.start()]
    if match["sign"] == "=" and before in ("'", '"'):  # `'name=two words'`
        end = text.find(before, start, start + _CLAUSE)
        if end > 0 and "=" not in text[start:end] and "\n" not in text[start:end]:
            return end
    # What follows a placeholder is judged by its own names.
    value = _EXPANDED.match(text, start) if text[start : start + 1] in "${" else None
    if value is None and not _STANDS_IN.match(text, start):
        value = UNQUOTED.match(text, start)
    if match["sign"] == ":" and spaced and value:
        ends = value[0][-1] in ",}" and in_flow(text, match.start())
        if ends and (flow := IN_FLOW.match(text, start)):
            value = flow
        elif (words := _PROSE.match(text, start, start + _CLAUSE)) and not begins_a_member(
            words[0]
        ):
            value = _REST_OF_LINE.match(text, start)
    end = value.end() if value else start
    if text[end - 1 : end] == "(" and (quote := QUOTE.match(text, end)):  # `String::from("X")`
        return end_of_quoted(text, end, quote[0])
    return end


def _states_nothing(value: str, match: re.Match[str], verdict: KeyVerdict, *, prose: bool) -> bool:
    """Tell a value that is no credential: nothing, a reference to one, or the rest of a clause."""
    bare = value.strip().rstrip(",;.)]}").strip("\"'\\").lower()
    is_public = value.lstrip("\"'").startswith(PUBLIC_KEYS) and "PRIVATE" not in value
    nothing = is_public or bare in NOTHING or bare.startswith("system:")
    if nothing or PLACEHOLDER.fullmatch(value.strip()) or stands_in_quotes(value):
        return True
    word = value if match["name"].lower().endswith("pass") else value.partition(" ")[0]
    before = match.string[match.start() - 1 : match.start()]
    behind_prompt = value[:1] == before and value[1:2] in _BEHIND_PROMPT
    if behind_prompt or says_which(match["name"], word.strip("\"',;}")):
        return True
    if verdict is KeyVerdict.HARMLESS:
        return not is_told(match["name"], value)
    if QUOTE.match(value):
        return False
    if match[0].endswith(": ") and is_reason(value.partition(": ")[0], alone=prose):
        return True
    if match[0].endswith(": ") and value.isalpha() and (value.islower() or value in _METHODS):
        goes_on = match.string.startswith(' "', match.end() + len(value))  # `secrets "x" not found`
        said = goes_on or (prose and (len(value) < SHORTEST_WORD or is_remark(value)))
        if said and not in_flow(match.string, match.start()):
            return True
    if verdict is KeyVerdict.CREDENTIAL_TEXT and not is_told(match["name"], value):
        return len(value) < _TEXT_SHORTEST or not any(map(str.isdigit, value))
    return False
