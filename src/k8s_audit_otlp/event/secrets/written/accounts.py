"""Who has which password, in maps and lists of accounts: `users: {bob: X}`, `["bob:X"]`.

A role, a team or a source of users stands in the same place, and is told from a password by its
word: `{"users": {"bob": "admin"}}` stays.
"""

import re
from functools import partial
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import is_reference, judge, words_of
from k8s_audit_otlp.event.secrets.randomness import looks_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step
from k8s_audit_otlp.event.secrets.written.phrases import is_phrase
from k8s_audit_otlp.event.secrets.written.remarks import is_remark

_ACCOUNTS: Final = frozenset(
    "users accounts admins logins login logon userlist usermap basicauth".split()  # noqa: SIM905
)
_OTHERS: Final = frozenset("service storage cloud allowed denied blocked sub map".split())  # noqa: SIM905
# Roles, teams and what an account is; settings that stand beside accounts.
_ROLES: Final = frozenset(
    """
    admin admins administrator viewer editor reader writer owner member operator guest developer
    maintainer contributor auditor manager support engineer engineering staff deployer deployment
    readonly readwrite superuser anonymous nobody active inactive locked pending primary secondary
    internal external global local default public private premium standard enterprise monitoring
    production staging development testing payments platform security finance marketing backend
    frontend latest stable alpine debian bullseye bookworm kubectl
    keycloak github gitlab google azuread cognito openldap kerberos system service human robot
    backup wheel docker daemon nogroup shadow database postgres pgbouncer replication application
    cluster namespace everyone
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
_SETTINGS: Final = frozenset(
    """
    realm claim filter base search attribute schema table driver index country tier plan tenant org
    team group theme language locale timezone region zone location env environment
    """.split()  # noqa: SIM905
)
_SCHEMES: Final = frozenset(  # before a colon they say what follows
    """
    system oidc github gitlab ldap user group role team arn saml keycloak google azuread email
    serviceaccount mailto http https uid gid aad iam cn kubernetes node
    """.split()  # noqa: SIM905
)
_WORD = re.compile(r"[^\W_](?=\S*[A-Za-z])[^\s\"'`:/@,;=<>{}\[\]$()|]{5,63}")
_WHO = re.compile(r"[a-z][a-z0-9_.@-]{0,31}|[A-Z]{2,16}")


def names_accounts(name: str) -> bool:
    """Tell `users` and `adminUsers` from `allowedUsers` and `serviceAccounts`."""
    words = words_of(name)
    named = not _ACCOUNTS.isdisjoint(words[-1:]) or words[-2:] == ("basic", "auth")
    return named and _OTHERS.isdisjoint(words)


def is_password_of(who: str, value: str) -> bool:
    """Tell a password in a map of accounts: no role, no setting, no reference."""
    if not _WHO.fullmatch(who) or is_reference(who) or who in _SETTINGS or judge(who):
        return False
    if looks_drawn(value) or is_phrase(value):
        return True
    parts = re.split(r"[-_.]", value.lower())
    if len(parts) > 1 or _WORD.fullmatch(value) is None:
        return False
    return value.lower() not in _ROLES and not is_remark(value)


def password_in_pair(text: str) -> int:
    """Return where the password begins in `bob:X`; 0 where it is no such pair."""
    who, colon, value = text.partition(":")
    _, another, digest = value.partition(":")
    if another and len(digest) == _MD5 and value.count(":") == 1:  # of htdigest
        return len(text) - len(digest)
    is_one = colon and who.lower() not in _SCHEMES and value != who and is_password_of(who, value)
    return len(who) + 1 if is_one else 0


_MD5: Final = 32  # digits
# All that stands below the name: in braces or brackets, on its line, on lines indented more.
_BELOW = (
    r"(?m)(?P<lead>^[ \t]*)?(?P<name>(?<![\w.-])[\w.-]{4,64}+)"
    r"(?i:(?<=users)|(?<=accounts)|(?<=admins)|(?<=logins)|(?<=userlist))"
    r"(?P<sign>[\"']?[ \t]{0,2}(?:=>|[:=])\s{0,2}|[ \t](?=\{))"
    r"(?P<below>\{[^{}]{1,2048}\}?|\[[^\[\]]{1,2048}\]?"
    r"|(?=\n)(?:\n(?P=lead)(?:[ \t]{1,8}|- )[^\n]+)++|[\"']?[\w.@-]{1,64}:[^\n]{4,1024})"
)
_ENTRY = re.compile(
    r"(?m)(?P<head>(?:^|(?<=[{,;\[\s]))[ \t]*(?:- )?(?P<open>[\"']?)(?P<who>[A-Za-z][\w.@-]{0,31})"
    r"(?P<sign>[\"']?[ ]?(?:=>|[:=])[ ]?[\"']?))(?P<value>[^\s\"'`,;:{}\[\]]{5,64})"
    r"(?=[\"']?[ \t\r]*(?:[,;}\]\n]|\Z|[ ][\w.@-]{1,32}:))"
)
_SECTION = r"(?m)^[ \t]*\[(?P<name>[\w. -]{1,64})\][ \t\r]*(?P<below>(?:\n(?![ \t]*\[)[^\n]*)++)"
_SETTING = re.compile(
    r"(?m)(?P<head>^[ \t]*(?P<who>[\w.@-]{1,32})[ \t]{0,64}=[ \t]{0,64}[\"']?)"
    r"(?P<value>[^\s\"'`,;:{}\[\]]{5,64})(?=[\"']?[ \t\r]*(?:,[^\n]*)?$)"
)
# Behind who a directory knows: `{other_bind, {"cn=a", "X"}}`.
_OF_DIRECTORY = (
    r"(?i)([\"'](?:cn|uid)=[^\"'\n]{1,128}[\"']\s{0,8},\s{0,8}[\"'])"
    r"(?!(?:unique)?member|group|object)([^\W\d_][^\s\"'=:/]{5,64})(?=[\"'][ \t]*[)}\]])"
)
# Behind one whom everybody knows, where a name says that somebody logs in.
_KNOWN = (
    r"(?i)((?<=[:= \t\"'])(?:(?:sys)?admin(?:istrator)?|root)[/:])"
    r"([^\W\d_][^\s\"'`,;:/={}<>]{5,64})(?=[\"']?[ \t\r]*(?:[,;})\]\n]|\Z))"
)
_LOGS_IN = re.compile(
    r"(?i)(?:log-?in|ipmi|bmc|i?lo|i?drac|access|cred|acc(?:oun)?t|auth)"
    r"[\"']?[ \t]{0,2}[:=][ \t]{0,2}[\"']?\Z"
)
_LONGEST_LABEL = 20  # characters
# At the end of what tells of a login: `login failed: bob:X`, `credentials are bob and X`.
_PAIR = (
    r"(?i)\b(?:(?:log|sign)(?:ged|ed)?[ -]?(?:in|on)|creds?|credentials|authenticat[a-z]{1,5}"
    r"|auth)\b(?:[ ][a-z]{2,12}){0,3}?:?[ ][\"'`(]?(?P<who>[A-Za-z][\w.-]{1,31})"
    r"(?:[ ]/[ ]|:|[ ]and[ ])[\"'`]?(?P<value>[^\W\d_][^\s\"'`:/@,;=()]{5,64})"
    r"(?=[\"'`)]?[.!]?[ \t\r]*(?:\n|\Z))"
)
# The same alone; not `admin:orders`, which is as much what somebody may do.
_WELL_KNOWN = (
    r"(?<![\w./:@-])((?:root|administrator|admin(?=:[a-z]{8})):)(?![a-z]{1,64}s\b)"
    r"([a-z]{6,40})(?=[\s,)\"']|\Z)"
)


def _has_password(match: re.Match[str]) -> bool:
    """Tell who and a password from a scheme and what is behind it, and from who twice."""
    who, value = match["who"], match["value"]
    return who.lower() not in _SCHEMES and value != who and is_password_of(who, value)


def _entry(replacement: Replacement, match: re.Match[str]) -> str:
    return match["head"] + replacement(match["value"]) if _has_password(match) else match[0]


def _below(entry: re.Pattern[str], replacement: Replacement, match: re.Match[str]) -> str:
    below = match["below"]
    if not names_accounts(match["name"].strip()):
        return match[0]
    return match[0].removesuffix(below) + entry.sub(partial(_entry, replacement), below)


def unless_role(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the second group, which ends the match, unless it is a role or a remark."""
    is_one = match[2].lower() not in _ROLES and not is_remark(match[2])
    return match[1] + replacement(match[2]) if is_one else match[0]


def _pair(replacement: Replacement, match: re.Match[str]) -> str:
    value = match["value"]
    return match[0].removesuffix(value) + replacement(value) if _has_password(match) else match[0]


def _known(replacement: Replacement, match: re.Match[str]) -> str:
    label = match.string[max(0, match.start() - _LONGEST_LABEL) : match.start()]
    return unless_role(replacement, match) if _LOGS_IN.search(label) else match[0]


_ADMINISTRATORS: Final = ("admin/", "root/", "administrator/", "admin:", "root:")
_NAMES: Final = ("sers", "ccounts", "dmins", "ogins", "serlist", "SERS", "DMINS")
STEPS: Final[tuple[Step, ...]] = (
    Step((), _BELOW, partial(_below, _ENTRY), _NAMES),
    Step((), _SECTION, partial(_below, _SETTING), _NAMES),
    Step(('"cn=', "'cn=", '"uid=', "'uid="), _OF_DIRECTORY, unless_role),
    Step(_ADMINISTRATORS, _KNOWN, _known),
    Step(("root:", "admin:", "administrator:"), _WELL_KNOWN, unless_role),
    Step(("login", "log in", "sign in", "log-in", "cred", "auth", "authenticate"), _PAIR, _pair),
)
