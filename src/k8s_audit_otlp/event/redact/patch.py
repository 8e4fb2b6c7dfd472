"""What is judged by a path: the operations of a JSON Patch (RFC 6902), and own rules."""

import re
from collections.abc import Callable, Iterator

from k8s_audit_otlp.event.redact.actions import (
    act_on_members,
    args,
    command,
    copy,
    credential,
    drawn,
    env,
)
from k8s_audit_otlp.event.redact.context import KINDS
from k8s_audit_otlp.event.redact.names import Action
from k8s_audit_otlp.event.redact.neighbours import names_it
from k8s_audit_otlp.event.redact.scan import Scan
from k8s_audit_otlp.event.redact.siblings import is_of_password
from k8s_audit_otlp.event.secrets.values import says_which
from k8s_audit_otlp.event.secrets.written.references import names_a_key, names_secrets
from k8s_audit_otlp.event.splice.tokens import is_key, objects, piece_of, text_of

_HARMLESS_PATHS = re.compile(r"/metadata/(?!annotations(?:/|\Z)|managedFields).|/type\Z").match
_DATA = frozenset(("data", "stringData", "binaryData"))
_INDEX = re.compile(r"-|\d{1,9}").fullmatch
_OF_SECRETS = re.compile(r".*(?:[sS]ecret|[rR]ef)").fullmatch  # which a key of one stands in
_AT_A_STEP: dict[Action, Callable[[Scan, int], int | None]] = {
    **dict.fromkeys((Action.CREDENTIAL, Action.OWN), credential),
    **dict.fromkeys((Action.DRAWN, Action.HOLDER), drawn),
    Action.COPY: copy,
}


def act_on_operations(scan: Scan) -> None:
    pieces = scan.pieces
    for found in objects(pieces):
        paths = [p for p in found if pieces[p] == b"path" and pieces[p + 1] == b":"]
        values = [p for p in found if pieces[p] == b"value"]
        for path in paths:
            text = text_of(pieces[path + 2])
            for value in values:
                _operation(scan, text, value)


def _operation(scan: Scan, path: str, value: int) -> None:
    kind = scan.context.kind
    if kind in KINDS and not _HARMLESS_PATHS(path):
        if kind not in scan.off:
            scan.whole(value, kind)
        return
    steps = [s.replace("~1", "/").replace("~0", "~") for s in path.split("/")[1:]]
    if not _DATA.isdisjoint(steps) and not _is_in_list(scan, steps, value):
        scan.whole(value, "secret")
        return
    actions = [scan.names[piece_of(step)] for step in steps]
    labels = Action.LABELS in actions[:-1]
    if labels and Action.CREDENTIAL not in actions[: actions.index(Action.LABELS)]:
        if actions[-1] is Action.CREDENTIAL:
            is_one = is_of_password(scan.pieces, value, steps[-1])
            (credential if is_one else drawn)(scan, value)
        return
    for i, action in enumerate(actions):
        _step(scan, action, steps[i:], value)


def _step(scan: Scan, action: Action, steps: list[str], value: int) -> None:
    """Do what the first of these steps of a path calls for."""
    rest = steps[1:]
    if action is Action.ENV:
        if not rest or rest[-1] in {"-", "value"} or rest[-1].isdigit() or len(rest) == 1:
            _environment(scan, rest, value)
    elif action in (Action.COMMAND, Action.ARGS):
        _arguments(scan, action, rest, value)
    elif action is Action.CREDENTIAL_TEXT:
        (drawn if rest else credential)(scan, value)
    elif action in _AT_A_STEP and not _refers(scan, steps, value):
        _AT_A_STEP[action](scan, value)


def _is_in_list(scan: Scan, steps: list[str], value: int) -> bool:
    """Tell an object in a list that is called `data`, or a part of one: no Secret has such."""
    at = next(n for n, step in enumerate(steps) if step in _DATA)
    is_element = steps[at] == "data" and _INDEX(steps[at + 1] if at + 1 < len(steps) else "")
    return bool(is_element) and (len(steps) > at + 2 or scan.pieces[value + 1][:2] == b":{")


def _refers(scan: Scan, steps: list[str], value: int) -> bool:
    """Tell what names a credential, by the path to it: `/spec/superuserSecret/name`."""
    if scan.pieces[value + 1] != b":":
        return False
    text = text_of(scan.pieces[value + 2])
    if len(steps) > 1 and _INDEX(steps[-1]):
        return names_secrets(steps[-2], text) or says_which(steps[-2], text)
    if len(steps) == 1 or says_which(steps[-1], text):
        return says_which(steps[-1], text)
    is_key = steps[-1] == "key" and _OF_SECRETS(steps[-2]) is not None and names_a_key(text)
    return is_key or names_it(steps[-1], text)


def _environment(scan: Scan, rest: list[str], value: int) -> None:
    named = rest and rest[-1] != "-" and not rest[-1].isdigit()
    if named or scan.pieces[value + 1] == b":":
        scan.whole(value, "env")
        return
    env(scan, value)
    act_on_members(scan, value + 2, scan.env_end)


def _arguments(scan: Scan, action: Action, rest: list[str], value: int) -> None:
    first = action is Action.COMMAND and rest in ([], ["0"])
    if scan.redactor.rules.args != "keep":
        (command if first else args)(scan, value)


def paths_to(pieces: list[bytes], steps: tuple[str, ...]) -> Iterator[int]:
    """Yield the places of the strings at or below the path."""
    pattern = re.compile(
        "".join(
            r"(?:/[^/]*)*" if s == "**" else r"/[^/]*" if s == "*" else "/" + re.escape(s)
            for s in steps
        )
        + r"(?:/.*)?",
        re.DOTALL,
    )
    stack: list[str] = []
    counts: list[int] = []
    for place in range(1, len(pieces), 2):
        _follow(pieces[place - 1], stack, counts)
        if is_key(pieces, place):
            stack[-1] = text_of(pieces[place]).replace("/", "~")
        elif pattern.fullmatch("/" + "/".join(stack)):
            yield place


def _follow(punctuation: bytes, stack: list[str], counts: list[int]) -> None:
    """Keep the path of names and indexes through what stands between two strings."""
    for mark in re.findall(rb"[\[\]{},]", punctuation):
        if mark in b"{[":
            stack.append("0" if mark == b"[" else "")
            counts.append(0 if mark == b"[" else -1)
        elif mark in b"}]":
            if stack:
                stack.pop()
                counts.pop()
        elif counts and counts[-1] >= 0:
            counts[-1] += 1
            stack[-1] = str(counts[-1])
