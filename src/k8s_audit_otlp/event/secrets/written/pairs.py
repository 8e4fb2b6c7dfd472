"""Who and a password, in the ways that people, files and protocols write the two together.

`user bob password X`, `creds: bob / X`, `USER bob` and `PASS X`, `machine h login bob password X`.
"""

import re
from functools import partial
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_reference,
    judge,
    names_one_value,
    words_of,
)
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step, second, where
from k8s_audit_otlp.event.secrets.written.remarks import OF_A_SENTENCE, is_remark, told

_NAME = (
    r"(?:p/w|p(?:ass(?:word|wd|phrase|code|wort|e)?|wd?|swd?)|clave|contrase[ñn]a|senha|kennwort"
    r"|mot de passe|mdp|wachtwoord|has[łl]o|heslo|l[öo]senord|adgangskode|passord|salasana"
    r"|parola|парол[ья])"
)
_OF_WHO = (  # by the first letter: most of a text is left after a look at it
    r"[uUlLaAbBiIлЛ](?<![\w./-].)(?i:(?<=u)(?:ser(?:[ _-]?(?:name|id))?|sr|id|tilisateur|suario"
    r"|suário|tente|n)?|(?<=l)og-?in|(?<=a)cc(?:oun)?t|(?<=b)enutzer(?:name)?|(?<=i)d(?:entifiant)?"
    r"|(?<=л)огин)"
)
_WHO = r"[\"'`]?(?P<who>[\w$@.\\-]{1,64}?)[\"'`]?"
_SAYS = r"(?:[ \t]{0,2}(?:=>|[:=])[ \t]{0,4}|[ \t]{1,4})"
# A word that is not the name of something that follows.
_X = r"([^\W_][^\s\"'`,;|()<>{}\[\]=:/]{5,64}?)"
_ENDS = (
    r"(?=[\"'`]?[)\]}]?(?:[ \t\r]*(?:\n|\Z)|[.!]?(?:\s*\Z)|[,;)|]|[ \t]+(?:to|on|at|for|and"
    r"|was|were|is|failed|rejected|refused|denied)\b))"
)
_NAMED = (
    rf"{_OF_WHO}(?i:{_SAYS}{_WHO}(?:[ \t]{{0,4}}[,;/|+&][ \t]{{0,4}}|[ \t]{{1,8}}"
    r"(?:(?:and|with|und|mit|et|avec|y|con|e|com|i)[ \t])?"
    rf"|[ \t\r]*\n[ \t]{{0,64}})(?:acc(?:oun)?t[ \t]\S{{1,64}}\s{{1,8}})?"
    rf"{_NAME}{_SAYS}[\"'`]?{_X}{_ENDS})"
)
# What is said to hold who and a password, and how far: `creds bob X`, but `credentials: bob / X`.
_LABEL = (
    r"[aAcCpPlL](?i:(?<=a)uth(?:[_ -](?:basic|user-pass))?|(?<=a)cc(?:oun)?t"
    r"|(?<=c)red(?:s|entials)?|(?<=p)wd?|(?<=l)og(?:-?ins?|on)"
    r"|(?<=p)ass(?:_user|word|wd|wort)?|(?<=p)asswd[ \t]\S{1,64})"
)
_TOGETHER = (
    rf"(?P<label>{_LABEL})(?:[ \t]{{0,2}}(?:=>|[:=])[ \t]{{0,4}}|[ \t]{{1,4}})[\[({{]?[ \t]?{_WHO}"
    rf"(?P<sign>[ \t]?[:/|,][ \t]?|[ \t])[\"'`]?{_X}{_ENDS}"
)
_LONGEST_LABEL: Final = 24  # characters before it that belong to it
_AUTH = re.compile(
    r"(?i)(?:.*[^a-z])?(?:(?:basic|https?|smtp|imap|proxy|ftp|user|ldap|redis|mqtt)[_ -]?auth"
    r"|auth[_ -](?:basic|user-pass)|creds?|(?:user(?:name)?|id|log-?in)[_/:]?p(?:w|wd"
    r"|ass(?:word|wd|wort)?)|proxy_pass_user)"
)
_WEAK = re.compile(
    r"(?i)(?:.*[^a-z])?(?:[\w-]{0,24}auth|credentials|log-?ins?|logon|acc(?:oun)?t"
    r"|sasl_passwd[ \t]\S*)"
)
_PLAIN_AUTH = re.compile(r"(?:^|.*\s)auth")
# The same as a map of one, or a list of two.
_BELOW = (
    rf"(?P<label>{_LABEL}):\n(?P<of>[ \t]*)(?:- )?{_WHO}"
    rf"(?P<sign>:[ \t]|[ \t\r]*\n(?P=of)- )[\"'`]?{_X}(?=[\"'`]?[ \t\r]*(?:\n(?!(?P=of)[^\s-])|\Z))"
)
# The name of a password and one, and nothing else, in brackets: `["password", "X"]`.
_IN_BRACKETS = (
    r"[\[({][ \t]?(?P<quote>[\"']?)(?P<name>[\w.-]{2,64})(?P=quote)[ \t]?,[ \t]?[\"']?"
    r"(?P<value>[^\W_][^\s\"'`,;|()<>{}\[\]=:/]{5,64})(?=[\"']?[ \t]?[\])}])"
)
_SENT = (  # before a command that is sent: a prompt, who sends it, or a program that does
    r"(?:[CS>]:?[ \t]|[\w.:\[\]-]{1,40}>[ \t]|quote[ \t]|raw[ \t]|AUTHINFO[ \t]|HELLO[ \t]\d[ \t])?"
)
_COMMAND = (
    rf"(?m)^[ \t]*{_SENT}(?:PASS|(?:(?i:AUTH)[ \t]{_WHO}(?=[ \t])|AUTH))[ \t]+{_X}(?=[ \t\r]*$)"
)
_USER_THEN = (
    r"(?im)(^[ \t]*"
    + _SENT
    + r"USER[ \t]\S{1,64}[ \t\r]*\n(?:(?!\S{1,8}[ \t]?pass)[^\n]{0,128}\n)?"
    r"[ \t]*" + _SENT + r"PASS[ \t]+:?)(\S{4,128})(?=[ \t\r]*$)"
)
_IMAP = (
    r"(?im)(^[ \t]*(?:C:[ \t])?(?:(?:[a-z](?:[a-z]{0,2}\d{1,6})?|[.*])"
    r"[ \t]login|(?-i:LOGIN))[ \t](?!-)"
    r"\"?[^\s\"]{1,64}\"?[ \t]\"?)(\S{4,128}?)(?=\"?[ \t\r]*$)"
)
_OF_IRC = (
    r"(?im)((?:nickserv[ \t]:?(?:identify|register)|^[ \t]*/?oper)[ \t](?:\S{1,64}[ \t])?)"
    r"(\S{4,128})(?=[ \t\r]*(?:\n|\Z))"
)
_OF_MEMCACHED = (
    r"(?m)(^[ \t]*set[ \t]auth[ \t]\d[^\n]{0,64}\n[ \t]*\S{1,64}[ \t])(\S{4,128})(?=[ \t\r]*$)"
)
_OF_CHPASSWD = (
    r"(\b(?:chpasswd|newusers)\b[^\n]{0,64}<<-?[ ]?[\"']?(?P<end>\w{1,16})[\"']?[^\n]{0,64}\n)"
    r"((?:(?![ \t]*(?P=end)\b)[^\n]{1,256}(?:\n|\Z)){1,64})"
)
_ITS_LINE = re.compile(r"(?m)^([^\s:]{1,64}:)([^\s:$]{4,})")
# Answers in base64 to a server that asks for who and a password.
_ANSWERS = (
    r"(?m)(^[ \t]*(?:[CS]:[ \t])?(?i:AUTH(?:ENTICATE)?)[ \t](?:LOGIN|PLAIN|CRAM-MD5|XOAUTH2|NTLM"
    r"|DIGEST-MD5)(?:[ \t][\w+/=]{1,128})?[ \t\r]*\n)((?:[ \t]*"
    r"(?:[CS]:[ \t])?(?:(?:334|\+)[ \t])?[\w+/]{4,}={0,2}[ \t\r]*(?:\n|\Z)){1,4})"
)
_ANSWER = re.compile(r"(?m)()\b([\w+/]{6,}={0,2})(?=[ \t\r]*$)")


_SCHEMES: Final = frozenset("oidc oauth oauth2 ldap saml basic bearer github google jwt".split())  # noqa: SIM905


def _pair(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask a word behind who it is of: not in a sentence, nor of kinds of them."""
    who = match["who"]
    if who.lower() in OF_A_SENTENCE | _SCHEMES or is_reference(who):
        return match[0]
    return match[0] if judge(who) is KeyVerdict.CREDENTIAL else told(replacement, match)


def _together(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what a label says to be who and a password, by what stands between the two."""
    first = max(0, match.start() - _LONGEST_LABEL)
    label, sign = match.string[first : match.end("label")].rpartition("\n")[2], match["sign"]
    between = match.string[match.end("label") : match.start("who")]
    is_one = (
        _AUTH.fullmatch(label)
        or ((sign in (":", " / ", " | ") or "(" in between) and _WEAK.fullmatch(label))
        or (sign == " " and match[0].startswith("auth: ") and _PLAIN_AUTH.fullmatch(label))
    )
    return _pair(replacement, match) if is_one else match[0]


def _names_password(name: str, value: str) -> bool:
    is_one = names_one_value(name) and words_of(name)[-1].startswith("p")
    return is_one and not is_remark(value) and (value.islower() or any(map(str.isdigit, value)))


def _chpasswd(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + _ITS_LINE.sub(partial(second, replacement), match[3])


def _answers(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + _ANSWER.sub(partial(told, replacement), match[2])


def _sent(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what a command sends, not the name of a way to log in nor the result of a test."""
    value = match[match.lastindex or 0]
    is_one = not value.isdigit() and not value.isupper() and "." not in value
    said = match["who"] not in (None, "default") and is_remark(match["who"])
    return told(replacement, match) if is_one and not said else match[0]


_BLANKS: Final = " \t:="
STEPS: Final[tuple[Step, ...]] = (
    Step(
        (), _NAMED, _pair, ("ser", "SER", "sr", "og", "uid", "acc", "Acc", "id", "ID", "u", "ente")
    ),
    Step(("auth", "cred", "pass", "pwd", "pw", "login", "logon"), _TOGETHER, _together, _BLANKS),
    Step(("auth", "cred", "pass"), _BELOW, _together, ("uth:\n", "reds:\n", "pass:\n")),
    Step(("pass", "pwd", "pw"), _IN_BRACKETS, where(_names_password), ("[", "(", "{")),
    Step(("pass", "auth"), _COMMAND, _sent, ("PASS ", "AUTH ", "auth ")),
    Step(("pass",), _USER_THEN, told, ("user ", "USER ", "User ")),
    Step(("login",), _IMAP, told, (" login ", "LOGIN ")),
    Step(("nickserv", "/oper "), _OF_IRC, told),
    Step(("auth",), _OF_MEMCACHED, told, ("set auth ",)),
    Step(("chpasswd", "newusers"), _OF_CHPASSWD, _chpasswd, "\n"),
    Step(("auth", "authenticate"), _ANSWERS, _answers, ("AUTH", "auth ", "Auth ")),
)
