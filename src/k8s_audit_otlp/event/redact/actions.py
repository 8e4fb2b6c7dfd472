"""Does to the members of a body what their names call for; `names` says what that is."""

from collections.abc import Callable
from itertools import compress
from typing import TypeAlias

from k8s_audit_otlp.event.redact.context import KINDS, data_rule
from k8s_audit_otlp.event.redact.names import Action, Names
from k8s_audit_otlp.event.redact.neighbours import (
    is_reference,
    says_which_one,
    siblings,
    tells_where,
)
from k8s_audit_otlp.event.redact.scan import MASKED, Scan
from k8s_audit_otlp.event.redact.siblings import (
    is_of_password,
    judge_value,
    mask_accounts,
    mask_drawn_names,
    owned,
    rename,
)
from k8s_audit_otlp.event.redact.tables import listed, table
from k8s_audit_otlp.event.secrets.grammar import KeyVerdict
from k8s_audit_otlp.event.secrets.grammar import is_reference as only_refers
from k8s_audit_otlp.event.secrets.messages import UNREAD_NEEDLES
from k8s_audit_otlp.event.secrets.randomness import looks_drawn
from k8s_audit_otlp.event.secrets.structures import VARIABLES
from k8s_audit_otlp.event.secrets.text import clean_message
from k8s_audit_otlp.event.secrets.uri import program
from k8s_audit_otlp.event.secrets.written.phrases import is_told
from k8s_audit_otlp.event.splice.tokens import end_of, is_key, marks_key, members, piece_of, text_of

Member: TypeAlias = tuple[int, Action]  # the place of a key, what its name calls for
_PARTS_OF_A_VARIABLE = frozenset((b"value", b"valueFrom", b"name", b"secretKeyRef", b"from"))
_REMOTE = (b"remoteRef", b"sourceRef", b"value")  # beside `secretKey`: it names a key then
_ECHOING = (b"alue", b"map[", b"...|", *map(str.encode, UNREAD_NEEDLES))
# v1 Secret, SecretList, Table, Status and what patches and watches add; data is another rule's
_MEMBERS_OF_A_SECRET = frozenset(
    """
    apiVersion kind metadata type immutable data stringData items columnDefinitions rows status
    message reason details code object $patch $retainKeys $setElementOrder/items spec
    """.split()  # noqa: SIM905 - a table of words reads better as words
)


def members_with_actions(pieces: list[bytes], names: Names, start: int, end: int) -> list[Member]:
    """Return the members whose key lies in [start, end) and whose name calls for something."""
    marks = [*map(marks_key, pieces[start + 1 : end + 1 : 2])]
    actions = [*map(names.__getitem__, compress(pieces[start:end:2], marks))]
    if not any(actions):
        return []
    keys = compress(compress(range(start, end, 2), marks), actions)
    return [*zip(keys, filter(None, actions), strict=False)]


def act(scan: Scan, found: list[Member]) -> None:
    """Act on the members, which are in order."""
    past = 0
    for key, action in found:
        if key >= past:
            past = _ACT[action](scan, key) or 0


def act_on_members(scan: Scan, start: int, end: int) -> None:
    """Act on every member whose key lies in [start, end)."""
    act(scan, members_with_actions(scan.pieces, scan.names, start, end))


# Each action gets the place of the key and may return where to go on.


def credential(scan: Scan, key: int) -> int | None:
    rule = "token" if scan.context.kind == "token" else "key"
    if rule in scan.off:
        return None
    value = scan.pieces[key + 1][1:2]
    if value not in (b"{", b"["):
        beside = siblings(scan.pieces, key) if scan.pieces[key] == b"secretKey" else ()
        is_key_of_store = any(scan.pieces[place] in _REMOTE for place in beside)
        if not is_key_of_store and not says_which_one(scan.pieces, key):
            scan.scalar(key, rule)
        return None
    end = end_of(scan.pieces, key)
    if key < scan.schema_end or is_reference(scan.pieces, key, end):
        return None
    # A map of several holds them under names of its own: {"tokens": {"server": ...}}.
    several = scan.pieces[key].endswith(b"s") and scan.pieces[key + 1][:2] == b":{"
    if several:
        mask_drawn_names(scan, key, end)
        for member in [*members(scan.pieces, key, end)]:
            if not tells_where(scan.pieces, member):
                scan.whole(member, rule, keep_references=True)
        return end
    scan.all_strings(key, end, rule, keep_references=True)
    return end


def credential_text(scan: Scan, key: int) -> None:
    if scan.pieces[key + 1][:2] in (b":{", b":["):
        drawn(scan, key)
    elif scan.pieces[key + 1] != b":" or "key" in scan.off or says_which_one(scan.pieces, key):
        return
    else:
        scan.mask(key + 2, "key")


def drawn(scan: Scan, key: int) -> None:
    """Redact what looks drawn, or is in a map or list of names: `users: {bob: ...}`."""
    pieces = scan.pieces
    if "key" in scan.off:
        return
    end = end_of(pieces, key)
    if pieces[key + 1][:2] == b":[":
        places = [*scan.elements(key, end)]
    else:
        in_map = pieces[key + 1][:2] == b":{"
        places = [
            place + 2
            for place in (members(pieces, key, end) if in_map else (key,))
            if pieces[place + 1] == b":" and not (in_map and only_refers(text_of(pieces[place])))
        ]
    name = text_of(pieces[key])
    for place in places:
        if is_told(name, text_of(pieces[place])):
            scan.mask(place, "key")
    mask_accounts(scan, key, end)


def reference(scan: Scan, key: int) -> None:
    """Redact what looks drawn where a credential is, not where it is kept: {"inline": ...}."""
    if scan.pieces[key + 1][:2] == b":{":
        for member in members(scan.pieces, key, end_of(scan.pieces, key)):
            if scan.names[scan.pieces[member]] is Action.VALUE:
                drawn(scan, member)


def holder(scan: Scan, key: int) -> None:
    """Redact what looks drawn in a map or list, except under names that only refer."""
    pieces, name = scan.pieces, scan.pieces[key]
    if "key" in scan.off or pieces[key + 1][1:2] not in (b"{", b"["):
        return
    for place in range(key + 2, end_of(pieces, key), 2):
        if is_key(pieces, place):
            name = pieces[place]
        elif not only_refers(text_of(name)) and looks_drawn(text_of(pieces[place])):
            scan.mask(place, "key")


def own_key(scan: Scan, key: int) -> int:
    name = text_of(scan.pieces[key])
    rule = next(r.name for r in scan.own if r.keys and r.keys.search(name))
    return scan.whole(key, rule)


def data(scan: Scan, key: int) -> int | None:
    rule = data_rule(scan.context, scan.pieces, key)
    if not rule:
        value(scan, key)
    if not rule or rule in scan.off:
        return None
    return scan.whole(key, rule)


def redact_strange_members(scan: Scan) -> None:
    """Redact what stands beside the members of a Secret or an answer: a typo of `stringData`."""
    pieces, key = scan.pieces, 1
    if b"kind" in pieces and not any(kind in pieces for kind in KINDS["secret"]):
        return  # DeleteOptions and the like
    while key < len(pieces) - 1 and is_key(pieces, key):
        if text_of(pieces[key]) not in _MEMBERS_OF_A_SECRET:
            key = scan.whole(key, "secret")
        else:
            key = end_of(pieces, key)


def env(scan: Scan, key: int) -> None:
    pieces, end = scan.pieces, end_of(scan.pieces, key)
    if pieces[key + 1][:2] == b":{":
        for member in members(pieces, key, end):
            scan.scalar(member, "env")
            if pieces[member + 1][:2] == b":{":
                _group(scan, member)
    elif pieces[key + 1] == b":":
        text = text_of(pieces[key + 2])
        new = VARIABLES.sub(lambda m: m[1] + scan.replacement(m[2]), text)
        if new != text:
            scan.set(key + 2, piece_of(new), "env")
    elif pieces[key + 1] == b":[" or b"}," in pieces[key + 3 : end : 2]:
        for place in scan.elements(key, end):
            name, equals, _ = pieces[place].partition(b"=")
            if equals:
                scan.set(place, name + equals + MASKED, "env")
            else:
                scan.mask(place, "env")
    scan.env_end = max(scan.env_end, end)


def _group(scan: Scan, key: int) -> None:
    """Redact a group of variables, as some charts have them; not a reference to where one is."""
    inner = [*members(scan.pieces, key, end_of(scan.pieces, key))]
    if not any(scan.pieces[member] in _PARTS_OF_A_VARIABLE for member in inner):
        for member in inner:
            scan.scalar(member, "env")


def value(scan: Scan, key: int) -> None:
    """Redact `value` in an environment, or beside a `name` that says credential."""
    if key < scan.env_end:
        scan.scalar(key, "env")
    elif "key" in scan.off:
        return
    elif (verdict := judge_value(scan.pieces, key, key < scan.schema_end)) is KeyVerdict.CREDENTIAL:
        scan.whole(key, "key")
    elif verdict is KeyVerdict.CREDENTIAL_TEXT:
        drawn(scan, key)


def command(scan: Scan, key: int) -> None:
    _arguments(scan, key, 1 if scan.redactor.rules.args == "first" else 0)


def args(scan: Scan, key: int) -> None:
    _arguments(scan, key, 0)


def _arguments(scan: Scan, key: int, keep: int) -> None:
    if scan.redactor.rules.args == "keep":
        return
    pieces = scan.pieces
    if pieces[key + 1] == b":":
        places = [key + 2]
    elif pieces[key + 1][:2] == b":[":
        places = list(scan.elements(key, end_of(pieces, key)))
    else:
        return
    for place in places[:keep]:
        text = text_of(pieces[place])
        new = program(text, scan.replacement)
        if new != text:
            scan.set(place, piece_of(new), "args")
    for place in places[keep:]:
        scan.mask(place, "args")


def copy(scan: Scan, key: int) -> int | None:
    if scan.pieces[key + 1] != b":" or "last-applied" in scan.off:
        return None
    if not scan.follow(key + 2, "last-applied"):
        scan.mask(key + 2, "last-applied")
    return key + 4


def may_echo_in(pieces: list[bytes], key: int) -> bool:
    """Tell whether the text of the member may echo a value: only then is `message` worth it."""
    return pieces[key + 1] == b":" and may_echo(pieces[key + 2])


def may_echo(text: bytes) -> bool:
    return any(map(text.__contains__, _ECHOING))


def message(scan: Scan, key: int) -> None:
    if "text" in scan.off or not may_echo_in(scan.pieces, key):
        return
    text = text_of(scan.pieces[key + 2])
    new = clean_message(text, scan.replacement)
    if new != text:
        scan.set(key + 2, piece_of(new), "text")


def labels(scan: Scan, key: int) -> int | None:
    """Pass over labels and selectors, which detections need, but for what is drawn in them."""
    if scan.pieces[key + 1][:2] != b":{":
        return None
    end = end_of(scan.pieces, key)
    for place in members(scan.pieces, key, end):
        if scan.names[scan.pieces[place]] is Action.CREDENTIAL:
            (credential if is_of_password(scan.pieces, place) else drawn)(scan, place)
    return end


def schema(scan: Scan, key: int) -> None:
    scan.schema_end = end_of(scan.pieces, key)


_ACT: tuple[Callable[[Scan, int], int | None], ...] = (
    lambda _scan, _key: None,
    *(credential, credential_text, data, env, command, args, copy, message, value, schema, labels),
    own_key,
    rename,
    owned,
    drawn,
    holder,
    *(table, reference, listed),
)
