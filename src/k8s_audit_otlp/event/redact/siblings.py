r"""What a member of a body is by what is around it: a value by a name beside it, a flag, a cell.

A manager of fields owns values of a list, and writes them as names of members:
"f:finalizers": {".": {}, "v:\"example.com/cleanup\"": {}}, "k:{\"name\":\"web\"}": {}
"""

import re
from collections.abc import Iterator

from k8s_audit_otlp.event.redact.names import ANSWERING, clean_name
from k8s_audit_otlp.event.redact.neighbours import parent_name, siblings
from k8s_audit_otlp.event.redact.scan import Scan
from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    judge,
    may_name_drawn,
    names_one_value,
    words_of,
)
from k8s_audit_otlp.event.secrets.randomness import is_drawn, looks_drawn, looks_random
from k8s_audit_otlp.event.secrets.values import (
    NOTHING,
    PLACEHOLDER,
    is_credential,
    says_which,
)
from k8s_audit_otlp.event.secrets.written.accounts import (
    is_password_of,
    names_accounts,
    password_in_pair,
)
from k8s_audit_otlp.event.secrets.written.references import names_a_key, tells_which
from k8s_audit_otlp.event.secrets.written.remarks import is_remark
from k8s_audit_otlp.event.splice.tokens import (
    end_of,
    is_key,
    is_member_value,
    members,
    piece_of,
    text_of,
)

_KEYS_OF_VALUES = (b"kty", b"secretKey")  # of a JSON Web Key, of an entry of a store
_PASSWORDS = (("password",), ("passwd",), ("passphrase",), ("pwd",), ("passcode",), ("pw",))
_LOGINS = (("login",), ("logins",), ("accounts",), ("auth",), ("credentials",))
_LOGIN = (("login",), ("credentials",), ("auth",))  # of one
_PROVIDERS = frozenset(b"github gitlab google azure azuread okta email phone local".split())
_BASIC, _USER_AND = (("basic",), ("basicauth",), ("userpass",)), re.compile(r"[\w.@-]{1,64}:\S{4,}")
_FIELDS = frozenset(
    "address phone mobile firstname lastname avatar profile remember confirm login webauthn".split()  # noqa: SIM905
)
_HEADERS = re.compile(rb"[A-Z][a-z]*(?:-[A-Z][A-Za-z]*){1,5}")  # names of them
_SHORTEST_IN_PAIR = 5  # bytes
_FLAG_SHORTEST = 4  # letters
_SHORT_NAMES = frozenset(("pw", "pwd", "psw"))
_SHORT_FLAG = 2  # characters: `-p`
_IN_A_PAIR = re.compile(r"(?=.*\d)(?=.*[A-Za-z])\S{8,}")  # no name of another one

_NAMING = frozenset(
    b"""
    name key field id header parameter param variable attribute property k envName headerName
    parameterName ParameterKey Name Key option filename n attr attribute what
    setting item arg var column placeholder fill into
    """.split()
)
_PROMPTING = frozenset(b"label Label title caption q question prompt expect wait".split())
_DOING = frozenset(  # before a name, it is no question
    "reset change forgot recover rotate show store manage".split()  # noqa: SIM905
)
_NAMING_FILE = _NAMING | {b"path"}  # in a patch it says where
# Beside a name and a value these say that it is a toleration or a selector.
_SELECTING = frozenset((b"operator", b"effect", b"tolerationSeconds"))
_SAYING_SO = frozenset((b"sensitive", b"secret", b"isSecret", b"secure", b"hidden", b"masked"))
_TYPING = (b"type", b"format", b"kind", b"widget", b"inputType", b"control")
_TYPES = (b"password", b"Password", b"passphrase")
_SHORTEST_DEFAULT = 8  # characters of a default in a schema that is a credential


def judge_value(pieces: list[bytes], key: int, in_schema: bool) -> KeyVerdict:  # noqa: FBT001
    """Tell what is around a member such as `value` says of it; of a text: if it looks drawn."""
    beside = [*siblings(pieces, key)]
    if any(pieces[name] in _SELECTING for name in beside) and not any(
        pieces[name] == b"path" for name in beside
    ):
        return KeyVerdict.HARMLESS
    said = text_of(pieces[key + 2]) if pieces[key + 1] == b":" else ""
    naming = _NAMING if b"op" in map(pieces.__getitem__, beside) else _NAMING_FILE
    answers = pieces[key].decode("utf-8", "replace") in ANSWERING
    for name in beside:
        says_so = pieces[name] in _SAYING_SO and pieces[name + 1].startswith(b":true")
        if says_so or pieces[name] in _KEYS_OF_VALUES:
            return KeyVerdict.CREDENTIAL
        is_name = pieces[name].lstrip(b"@#$_") in naming and pieces[name + 1] == b":"
        named = text_of(pieces[name + 2]) if is_name else ""
        if named and _names(named, said, answers=answers) and not tells_which(named, said):
            return KeyVerdict.CREDENTIAL
        if pieces[name] in _PROMPTING and pieces[name + 1] == b":" and _prompts(pieces, name, said):
            return KeyVerdict.CREDENTIAL
        of_type = pieces[name].lstrip(b"@#$_") in _TYPING and pieces[name + 2] in _TYPES
        if of_type and pieces[name + 1] == b":":
            return KeyVerdict.CREDENTIAL
    parent = parent_name(pieces, key)
    of_parent = judge(parent)
    if of_parent is KeyVerdict.CREDENTIAL and in_schema and len(said) >= _SHORTEST_DEFAULT:
        return KeyVerdict.HARMLESS if says_which(parent, said) else KeyVerdict.CREDENTIAL
    names = parent, text_of(pieces[key])
    tells = any(judge(x) is not KeyVerdict.HARMLESS or may_name_drawn(x) for x in names)
    return KeyVerdict.CREDENTIAL_TEXT if tells else KeyVerdict.HARMLESS


def _names(name: str, said: str, *, answers: bool) -> bool:
    """Tell the name of a credential; where anything may stand beside it, of one value only."""
    if answers:
        return bool(said) and names_one_value(name) and not is_remark(said)
    return is_credential(name, said)


def _prompts(pieces: list[bytes], name: int, said: str) -> bool:
    """Tell a question whose answer is one: `Enter your password:`, `password?`."""
    question = text_of(pieces[name + 2]).partition("(")[0].rstrip(" :?*.")
    done = words_of(question)[:1]
    return names_one_value(question) and _DOING.isdisjoint(done) and not is_remark(said)


def act_on_flags(scan: Scan) -> None:
    """Redact the word behind a flag in a list (`["mysql", "--password", "..."]`) and in a pair."""
    pieces = scan.pieces
    for place in range(1, len(pieces) - 2, 2):
        piece = pieces[place]
        if pieces[place + 1] != b"," or is_key(pieces, place + 2) or b"=" in piece:
            continue
        name, value = text_of(piece), text_of(pieces[place + 2])
        word = name.lstrip("-")
        is_flag = word != name
        is_pair = pieces[place - 1][-1:] == b"[" and pieces[place + 3][:1] == b"]"
        if not (is_flag or is_pair) or PLACEHOLDER.fullmatch(value):
            continue
        if is_pair and names_a_key(word) and names_a_key(value):
            continue  # of two keys of a Secret
        is_long = len(word) >= _FLAG_SHORTEST or (is_flag and word in _SHORT_NAMES)
        known = is_long and judge(word) is KeyVerdict.CREDENTIAL
        may_be = known or may_name_drawn(word) or len(name) == _SHORT_FLAG
        of_pair = known and names_one_value(word) and (_is_no_name(value) or _is_told(word, value))
        told = (known and is_flag) or of_pair
        drawn = looks_drawn if may_name_drawn(word) else is_drawn
        if told or (may_be and drawn(value)):
            scan.mask(place + 2, "key")


def _is_told(name: str, value: str) -> bool:
    """Tell `["password", "X"]` from two fields of a form, and from two ways to log in."""
    is_word = len(value) >= _SHORTEST_IN_PAIR and not any(map(str.isspace, value))
    others = value in _FIELDS or is_remark(value) or bool(judge(value))
    return is_word and not others and words_of(name)[-1].startswith("p")


def _is_no_name(value: str) -> bool:
    return _IN_A_PAIR.fullmatch(value) is not None or looks_drawn(value)


def rename(scan: Scan, key: int) -> int | None:
    """Replace what the name of a member holds, and its value where the name says credential."""
    name = text_of(scan.pieces[key])
    scan.set(key, piece_of(clean_name(name, scan.replacement)), "text")
    return scan.whole(key, "key") if judge(name) is KeyVerdict.CREDENTIAL else None


def owned(scan: Scan, key: int) -> None:
    """Replace the values below a managed field whose name says credential, environment, command."""
    pieces = scan.pieces
    if pieces[key + 1] == b":":
        scan.mask(key + 2, "key")
    elif pieces[key + 1][:2] == b":{":
        for member in members(pieces, key, end_of(pieces, key)):
            if pieces[member].startswith(b"v:"):
                value = text_of(pieces[member])[2:].strip('"')
                scan.set(member, piece_of(f'v:"{scan.replacement(value)}"'), "key")


def mask_drawn_names(scan: Scan, key: int, end: int) -> None:
    """Replace names that somebody drew, in a map of tokens: `{"tokens": {"Xy7...": "bob"}}`."""
    for member in members(scan.pieces, key, end):
        name = text_of(scan.pieces[member])
        if looks_random(name):
            scan.set(member, piece_of(scan.replacement(name)), "key")


def is_of_password(pieces: list[bytes], key: int, name: str = "") -> bool:
    """Tell a label called a password, whose value is not a word about one."""
    text = text_of(pieces[key + 2]) if pieces[key + 1] == b":" else ""
    last = words_of(name or text_of(pieces[key]))[-1:]
    return last in _PASSWORDS and text.lower() not in NOTHING and not text.isdigit()


def _told_by_pairs(pieces: list[bytes], key: int, end: int) -> Iterator[int]:
    """Yield passwords behind who logs in: `{"accounts": [["bob", "X"]]}`, `{"basic": "bob:X"}`."""
    last = words_of(text_of(pieces[key]))[-1:]
    if pieces[key + 1] == b":":
        if last in _BASIC and _USER_AND.fullmatch(text_of(pieces[key + 2])):
            yield key + 2
    elif last in _LOGINS:
        for place in range(key + 2, end - 3, 2):
            opens, closes = pieces[place - 1].endswith(b"["), pieces[place + 3].startswith(b"]")
            value = pieces[place + 2]
            is_pair = opens and closes and pieces[place + 1] == b","
            methods = (  # a list of two of them, or of two who
                pieces[place - 1] == b":["
                and value.islower()
                and (last not in _LOGIN or is_remark(text_of(value)) or value in _PROVIDERS)
            )
            methods = methods or _HEADERS.fullmatch(value) is not None
            if is_pair and not methods and len(value) >= _SHORTEST_IN_PAIR:
                yield place + 2


def mask_accounts(scan: Scan, key: int, end: int) -> None:
    """Replace passwords in a map or list of accounts: `{"users": {"bob": "X"}}`, `["bob:X"]`."""
    pieces = scan.pieces
    for place in [*_told_by_pairs(pieces, key, end)]:
        scan.mask(place, "key")
    if not names_accounts(text_of(pieces[key])):
        return
    in_map = pieces[key + 1][:2] == b":{"
    for place in range(key + 2, end, 2):
        if is_key(pieces, place):
            is_alone = pieces[place - 1][-1:] == b"{" and pieces[place + 3][:1] == b"}"
            if pieces[place + 1] == b":" and (in_map or is_alone):
                value = text_of(pieces[place + 2])
                if is_password_of(text_of(pieces[place]), value):
                    scan.mask(place + 2, "key")
        elif not is_member_value(pieces, place) or place == key + 2:
            lines = text_of(pieces[place]).split("\n")
            ends = [*map(password_in_pair, lines)]
            if any(ends):
                new = [
                    line[:at] + scan.replacement(line[at:]) if at else line
                    for line, at in zip(lines, ends, strict=True)
                ]
                scan.set(place, piece_of("\n".join(new)), "key")
