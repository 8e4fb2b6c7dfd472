"""Takes credentials out of requestURI, and what a command was given; names stay."""

import re
from collections.abc import Callable
from functools import partial
from typing import Literal
from urllib.parse import quote, unquote, unquote_plus

from k8s_audit_otlp.event.secrets.grammar import is_credential_parameter
from k8s_audit_otlp.event.secrets.random_words import tells, without_drawn
from k8s_audit_otlp.event.secrets.randomness import is_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.text import EncodedParts, clean_decoded, decodings, once
from k8s_audit_otlp.event.secrets.values import is_credential_in_query

ArgsMode = Literal["keep", "first", "redact"]

_PARAMETER = re.compile(
    r"([?&;#]|%3[fF]|%26|%23)([^=&;?#]{1,256})=((?:[^&;\s\"]|;(?![^=&;?#]{1,256}=))*+)"
)
PARAMETER_NAMES = re.compile(r"(?:[?&;#]|%3[fF]|%26|%23)([^=&;?#]{1,256})=").findall
# Parameters of the Kubernetes API whose value is a number, a choice or a duration.
_OWN_PARAMETERS = re.compile(
    r"(?:(?:(?:allowWatchBookmarks|force|follow|previous|sendInitialEvents|timestamps|watch)"
    r"=(?:true|false|[01])|(?:limit|resourceVersion|tailLines|timeoutSeconds)=\d{1,19}"
    r"|resourceVersionMatch=(?:Exact|NotOlderThan)|timeout=(?:\d{1,6}(?:h|m|s|ms)){1,4})(?:&|\Z))+"
).fullmatch
# A name and a password as a step of the path; not an image with its digest.
_LOGIN = re.compile(r"([/=][\w.%-]{1,64}:)([^/@:&]{6,256})(?=@(?!sha\d))")
_ENCODED_WHOLE = re.compile(r"(?<=[?&;#])[^=&;?#\s]*%(?:25)*3[dD][^=&;?#\s]*")  # name and value
_SELECTORS = frozenset(("labelSelector", "fieldSelector"))  # names of labels, and their values
_WHO = re.compile(r"[?&;](?:u|usr|user|username|login)=[^&]")  # `p` is no page beside it
_ENCODED = re.compile(r"[%?=:]")
_LONGEST_PROGRAM = 256
_LOGGING_IN = frozenset(("login", "signin", "logon", "authenticate"))
_PASSWORD = re.compile(r"(?=[^\d]*\d)(?=.*[A-Za-z])[^/?]{6,64}")


def is_plain_query(query: str) -> bool:
    """Tell quickly that a query has nothing but what the API's own clients count and choose."""
    return _OWN_PARAMETERS(query) is not None


def program(text: str, replacement: Replacement) -> str:
    """Keep the program of a command line, replace what follows it."""
    word, blank, rest = re.match(r"\s*(\S*)(\s*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # it matches any text
    if "=" in word or word.startswith("-") or len(word) > _LONGEST_PROGRAM:
        return replacement(text)
    return f"{word}{blank}{replacement(rest)}" if rest else text


@once
def clean_uri(uri: str, replacement: Replacement, *, args: ArgsMode, credentials: bool) -> str:
    """Take credentials out of the query, and what a command was given: names stay."""
    commands = 0
    harmless: set[str] = set()  # a client may repeat one a thousand times
    logs_in = _WHO.search(uri) is not None
    decoded = partial(_decoded, EncodedParts(uri), replacement)

    def change(match: re.Match[str]) -> str:
        nonlocal commands
        mark, name, value = match.groups()
        if not value or match[0] in harmless:
            return match[0]
        plain = unquote_plus(name)
        if plain.lower() in ("command", "cmd"):
            commands += 1
            value = _command(value, args, replacement, is_program=commands == 1)
        elif credentials and (
            is_credential_in_query(plain, value)
            or (plain == "p" and logs_in and not value.isdigit())
        ):
            value = replacement(unquote_plus(value))
        elif credentials and _ENCODED.search(value) and plain not in _SELECTORS:
            value = decoded(value)
        new = f"{mark}{name}={value}"
        if new == match[0] and not commands:
            harmless.add(new)
        return new

    uri = _PARAMETER.sub(change, uri)
    return _without_logins(uri, replacement, decoded) if credentials else uri


def _command(value: str, args: ArgsMode, replacement: Replacement, *, is_program: bool) -> str:
    """Replace a word of a command; the first one is the program, and may be all of it."""
    if args == "keep":
        return value
    text = unquote_plus(value)
    if args == "redact" or not is_program:
        return replacement(text)
    new = program(text, replacement)
    return value if new == text else quote(new, safe="/")


def _without_logins(uri: str, replacement: Replacement, decoded: Callable[[str], str]) -> str:
    """Take out what is no parameter: logins, steps of the path, names whose sign is encoded."""
    if "@" in uri:
        uri = _LOGIN.sub(lambda match: match[1] + replacement(match[2]), uri)
    if "%" in uri:
        uri = _ENCODED_WHOLE.sub(lambda match: decoded(match[0]), uri)
    path, mark, query = uri.partition("?")
    return _clean_path(path, replacement, decoded) + mark + query


def _clean_path(path: str, replacement: Replacement, decoded: Callable[[str], str]) -> str:
    api, proxy, behind = path.partition("/proxy/")
    path = api + proxy + without_drawn(behind, replacement) if behind else path
    if "%" not in path and "=" not in path and _LOGGING_IN.isdisjoint(behind.split("/")):
        return path
    steps, before_it = [], ("", "")
    for step in path.split("/"):
        new = _clean_step(step, replacement, decoded)
        if new == step and behind and _stands_behind(before_it, step):
            new = replacement(unquote(step))
        steps.append(new)
        before_it = (before_it[1], step)
    return "/".join(steps)


def _stands_behind(before: tuple[str, str], step: str) -> bool:
    """Tell a step behind one that says what it is, or behind `login` and who logs in."""
    if "%" in step and tells(before[1]) and is_drawn(unquote(step)):
        return True
    return before[0] in _LOGGING_IN and _PASSWORD.fullmatch(unquote(step)) is not None


def _clean_step(step: str, replacement: Replacement, decoded: Callable[[str], str]) -> str:
    """Replace a step of the path that holds a credential, when it is decoded or as it stands."""
    if ("%" not in step and "=" not in step) or _PARAMETER.search(step):
        return step  # its parameters have been looked at
    name, equals, value = step.partition("=")
    if equals and value and "%" not in name and is_credential_parameter(name):
        return f"{name}={replacement(unquote_plus(value))}"
    return decoded(step) if "%" in step else step


def _decoded(parts: EncodedParts, replacement: Replacement, value: str) -> str:
    """Replace a value that holds a credential as it is, or when it is decoded, once or more."""

    def tells(value: str) -> bool:
        return any(
            clean_decoded(text, replacement) != text or _names_a_credential(text)
            for text in (value, *decodings(value))
        )

    return replacement(unquote_plus(value)) if parts.tell(value, tells) else value


def _names_a_credential(text: str) -> bool:
    return any(map(is_credential_parameter, map(unquote_plus, PARAMETER_NAMES(text))))
