"""Credentials in command lines, in SQL and in the files of programs that know no `name=value`."""

import re
from functools import partial
from itertools import groupby
from typing import Final
from urllib.parse import unquote_plus

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_reference,
    is_signature,
    judge,
    may_name_drawn,
    names_one_value,
    words_of,
)
from k8s_audit_otlp.event.secrets.randomness import PASSWORD_LIKE, is_drawn, looks_drawn
from k8s_audit_otlp.event.secrets.replacement import MASK, Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import (
    Step,
    made_up,
    quoted,
    second,
    where,
)
from k8s_audit_otlp.event.secrets.values import (
    PLACEHOLDER,
    is_credential_in_query,
    says_which,
)
from k8s_audit_otlp.event.secrets.written.remarks import is_remark

_VALUE = (
    r"(?P<value>\\{1,8}[\"'`][^\"'`\\]*+(?:\\{1,8}[\"'`])?"
    r"|`[^`]*`?|'(?:[^'\\]|\\.)*+'?|\"(?:[^\"\\]|\\.)*+\"?|[^\s\"']+)"
)
_USER = (
    r"((?:\s|^)(?:-[A-Za-z]{0,6}u|--(?:proxy-)?user|--auth|--login)"
    r"(?:[ \t=]{0,8}|\n[ \t]{0,64}- {1,8})"
    r"(?P<quote>[\"'])?[^\s:\"'=]{0,128}:)(?!//|\d{1,5}(?:[\s\"']|\Z))"
    r"((?(quote)[^\n\"']+|[^\s\"']+))"
)
# Not a file of cookies.
_COOKIE = r"((?:^|\s)(?:-b|--cookie)[ \t=]{1,8})(?=[\"'][^\"'=]{1,256}=|[^\s\"'=]{1,256}=)" + _VALUE
_LOGIN = (
    r"(?i)((?:^|\s)(?:(?:login|connect)\s+\S{1,128}\s+(?:account\s+\S{1,128}\s+)?password|requirepass|masterauth|auth-pass(?:\s+\S{1,128})?"
    r"|message-digest-key\s+\d{1,3}\s+md5(?:\s+\d)?|key-string(?:\s+\d)?"
    r"|identified\s+(?:with\s+\S{1,64}\s+)?by(?:\s+values)?"
    r"|with\s+password|set\s+password|password)[ \t]+)"
    r"(?![=:])" + _VALUE
)
_IN_SQL = (
    r"(?i)(\b(?:set\s{1,8}password\s{1,8}for\s{1,8}\S{1,128}\s{0,8}=\s{0,8}(?:\w{1,32}\s{0,8}\(\s{0,8})?"
    r"|password\s{0,8}\(\s{0,8}|(?<=[,(][ ])secret\s{1,8}))"
    r"('[^']*'?|\"[^\"]*\"?)"
)
# A variable for a container: `docker run -e NAME=X`, `--env=NAME=X`, `--build-arg NAME=X`.
_VARIABLE = (
    r"((?:^|[\s\"'])(?:-e|--env|--build-arg)[ =]{1,4}[\"']?[A-Za-z_]\w{0,64}=[\"']?)([^\s\"']{6,})"
)
_LITERAL = r"(--from-literal[ =][\"']?[\w.-]{1,253}=)" + _VALUE
# What a store is given under a name that tells nothing: `az keyvault secret set -n db --value X`.
_STORES = ("secret set", "secrets set", "variable set", "env:set", "chamber write", "credstash")
_STORED = (
    r"((?:secrets?|variables?|env|write|credstash)[ :](?:set|put|add|create|\S{1,128})"
    r"(?:[ =][^\s=]{1,64}+){0,6}?[ =][\"']?)" + f"({PASSWORD_LIKE.pattern})"
)
# Programs, what stands before a password (a short flag, or other words), and what is in the text
# where the names of the programs are too short to be looked for.
_SHORT_FLAGS: Final = (
    ("docker podman helm skopeo crane oras buildah nerdctl az", r" login\b", " -p[ =]?", " -p"),
    ("psexec", "", " -p "),
    ("ssh-keygen", "", " -[NP] "),
    ("zip unzip", "", " -P ?", "zip -p"),
    ("7z unrar rar", "", r" -h?p(?=\S)", "7z |unrar|rar a"),
    ("rabbitmqctl", r" (?:add_user|change_password|authenticate_user) \S{1,128}", " "),
    (
        "net",
        r" (?i:use)\b[^\n|;&]{0,32}? \\\\\S{1,128}(?: /user:\S{1,128})?",
        " (?![/*])",
        "net use",
    ),
    ("net", r" (?i:user) (?!/)\S{1,128}", " (?![/*])", "net user"),
    ("sshpass", "", " -p ?"),
    ("redis-cli keydb-cli valkey-cli", "", " -a "),
    ("mysql mysqldump mysqladmin mariadb mariadb-dump", "", r" -p(?=\S)", " -p"),
    ("mongo mongosh mongodump ldapsearch smbclient rpcclient", "", r" -[pwW] ?(?=\S)", " -p| -w"),
    ("openssl", "", " -(?:k|K|passin|passout|pass) (?:pass:)?", " -p| -k "),
    ("htpasswd", r" -\w{0,6}b\w{0,6} \S{1,128}", r" \S{1,64} "),
    ("setuser user", " (?i:on)", " >", "setuser|on >|+@"),
    (
        "snmpget snmpset snmpwalk snmpbulkwalk snmpbulkget snmptrap trapsess",
        "",
        " -[AXc] ",
        "snmp|trapsess",
    ),
    ("kadmin", "", " -p?w "),
    ("smbclient rpcclient winexe", "", r" -U ?[^\s%]{1,64}%"),
    ("lftp ncftp", "", r" -u ?[^\s,]{1,64},"),
    ("xfreerdp cmdkey", "", r" /p(?:ass)?:"),
    ("ipmitool", "", " -P "),
    ("ipmitool", r" user set password \d{1,3}", " "),
    ("mysqladmin mariadb-admin", r" password\b", " "),
    ("beeline cqlsh impala-shell", "", r" -p (?!\d{1,5}\b)"),
    ("db2", r" connect to \S{1,64} user \S{1,64}", " using ", "db2 connect"),
)
_WITHIN = r"[^\n|;&]{0,96}?"
_PROGRAMS: Final = [
    (program, (_WITHIN + between if between else "") + _WITHIN + flag)
    for programs, between, flag, *_ in _SHORT_FLAGS
    for program in programs.split()
]
_SHORT_FLAG = (
    r"(\b(?:"
    + "|".join(  # most words are left after a look at how they begin
        f"(?=(?i:{letter}))(?:" + "|".join(rf"(?i:{name})\b{rest}" for name, rest in alike) + ")"
        for letter, alike in groupby(
            sorted(_PROGRAMS, key=lambda p: p[0][0]), key=lambda p: p[0][0]
        )
    )
    + rf")(?![\"']?{MASK}))"
    + _VALUE
)
# What is sent behind a prompt: expect "assword:" { send "..." }
_ANSWER = (
    r"(?i)((?:ass(?:word|phrase|code|wd)|token|secret|pin|otp)[^\"'\n]{0,32}[\"';][^\"']{0,64}?"
    r"\b(?:send(?:line(?:after)?)?|write|put|type)\b[^\"']{0,8}[\"'])([^\"'\n]+)"
)
# A file whose name says what is in it, written line by line: `cat <<EOF > /etc/token`.
_WRITTEN = (
    r"(<<-?[ ]?[\"']?(\w{1,16})[\"']?[^\n]{0,128}+\n)((?!\2\b)[^\n:]{4,512}+"
    r"(?:\n(?![ \t]{0,8}\2\b)[^\n:]{4,512}+){0,2})(?=\n[ \t]{0,8}\2\b|\Z)"
)
_FILE_OF_SECRET = re.compile(r"secret|token|passw|cred|auth[\w-]{0,16}\.|auth-user-pass")
_HERE = r"((?<=\s)<<<[ \t]{0,8}(?:\$(?=[\"']))?)" + _VALUE
_FLAG = re.compile(
    r"(?:(?<![\w-])|(?<=\\n))(--[A-Za-z][\w.-]*+|-[A-Za-z][\w.-]{3,}+|-p(?:wd?|sw)(?=[\s\"',]))"
    r"([\"']?(?:[ \t]{1,8}|\s{0,8},\s{0,16}|\n[ \t]{0,64}- {1,8}))"
    r"(?![-\s:=])" + _VALUE
)
_LONE = (
    r"(?m)^[ \t]*+(?P<name>[\w.-]{3,128}+)[ \t]{1,64}(?:--?[\w-]{1,32}[ \t]{1,8}){0,3}"
    r"(?P<value>[^\s:=\"'\\][^\s\"']*+)(?=[ \t;]*$)"
)
_ENV_LINE = (
    r"(?m)(?:^|(?<=\\n))[ \t]*+(?:ENV|ARG|setenv|setx|aws configure set|set(?=[ \t]{1,8}\$)"
    r"|set(?:[ \t]{1,8}-{1,2}[a-zA-Z]{1,16}){1,4}"
    r"|(?:npm|yarn|pnpm) config set)[ \t]{1,8}(?:\$|\S{1,128}:)?"
    r"(?P<name>[\w.-]{2,128}+)[ \t]{1,64}(?!=)" + _VALUE
)
# A name, words or the brackets of calls and lists, and a text: `password is "X"`, `setToken("X")`.
_SAID = (
    r"(?<![\w$/-])(?P<name>[\w-]{1,64}+)[>)\]*]?(?:[ \t]{1,8}(?:is|was|be|may|not|must|cannot|to"
    r"|has|value|set|equals?|as|the|from|changed|now|of|with|an?|literal|inline|hard-?coded)\b){0,6}"
    r"(?:[ \t]{1,8}(?:[A-Za-z_]\w{0,32}\()?|(?=`)|[ ]\.[ ]|[ \t]{0,8}[,(][ \t(<{&*@]{0,8})"
    r"(?P<value>\"[^\"\s]{4,256}\"|'[^'\s]{4,256}'|`[^`\s]{4,256}`"
    r"|\"[^\"\n]{4,128}\"(?=[ \t]*(?:[;)\n]|\Z)))"
)
_PARAMETER = r"([?&;]([\w.%-]{1,64})=)([^&\s\"'<>]+)"
_AFTER_A_FLAG = frozenset(
    """
    is are was must or and not to flag flags cannot for from with needed required succeeded failed
    """.split()  # noqa: SIM905
)
# Of a flag that a program declares: `("--password", required=True)`.
_OF_PARSERS = frozenset("default required help type action nargs dest metavar".split())  # noqa: SIM905
_SHORTEST_TYPED = 8  # characters, with the quotes
# Names that are no words of a sentence: `rootpw`, `DB_PASSWORD`.
_COMPOUND = ("pw", "_pass", "_PASS", "_password", "_PASSWORD", "Password")
_PASSWORDS_ALONE = frozenset(("pw", "password"))
_MAY_HAVE_NAMES = frozenset(("secret", "token", "credential", "key"))
_OF_A_SENTENCE = frozenset("must is be are was should has have the not cannot at of to".split())  # noqa: SIM905
_READING = frozenset(("get", "read", "fetch", "load", "find", "has", "is", "check", "param"))


def _here(replacement: Replacement, match: re.Match[str]) -> str:
    is_text = "\n" in match[2] or len(match[2]) < _SHORTEST_TYPED or "$" in match[2]
    return match[0] if is_text else quoted(replacement, match)


def _user(replacement: Replacement, match: re.Match[str]) -> str:
    value = match[match.lastindex or 0]
    kept = PLACEHOLDER.fullmatch(value.strip()) is not None
    return match[0] if kept else match[1] + replacement(value)


def _login(replacement: Replacement, match: re.Match[str]) -> str:
    value = match[2]
    bare = match[1].strip().lower() == "password" and value[:1] not in "'\""
    if bare or is_remark(value) or not value.strip("'\";"):
        return match[0]  # `password` alone, then a word: prose
    return match[1] + in_quotes(value, replacement)


def _written(replacement: Replacement, match: re.Match[str]) -> str:
    line = match.string[max(0, match.start() - 128) : match.end(1)].rstrip("\n").rpartition("\n")[2]
    return match[1] + replacement(match[3]) if _FILE_OF_SECRET.search(line) else match[0]


def _flag(replacement: Replacement, match: re.Match[str]) -> str:
    name, value = match[1], match[3]
    word = name.lstrip("-")
    known = judge(word) is KeyVerdict.CREDENTIAL or (may_name_drawn(word) and is_drawn(value))
    said = value.lower() in _AFTER_A_FLAG or value.partition("=")[0] in _OF_PARSERS
    harmless = not known or said
    if harmless or PLACEHOLDER.fullmatch(value.strip('"')) or says_which(word, value.strip("\"'")):
        inner = _FLAG.sub(partial(_flag, replacement), value[1:]) if "--" in value else value[1:]
        return f"{name}{match[2]}{value[:1]}{inner}"
    return f"{name}{match[2]}{in_quotes(value, replacement)}"


def _is_alone(name: str, value: str) -> bool:
    """Tell `SOME_PASSWORD value` on a line of its own from the words of a sentence."""
    words = words_of(name)
    is_word = value.strip("()[]<>").rstrip(".,;:!?").isalpha()
    compound = name.endswith(_COMPOUND) and name.lower() not in _PASSWORDS_ALONE
    if (
        (is_word and not compound)
        or PLACEHOLDER.fullmatch(value.rstrip(";"))
        or says_which(name, value)
        or says_which(name, value.rstrip(";"))
    ):
        return False
    return (compound or names_one_value(name)) and (
        len(words) > 1 or words[0] not in _MAY_HAVE_NAMES
    )


def _is_set(name: str, value: str) -> bool:
    stands_in = PLACEHOLDER.fullmatch(value.strip("\"'"))
    return not stands_in and judge(name) is KeyVerdict.CREDENTIAL


def _is_said(name: str, value: str) -> bool:
    """Tell `password "value"`; what is called so stays: `secret "db-password" not found`."""
    if not names_one_value(name):
        return False
    words = words_of(name)
    value = value.strip("\"'`")
    is_name = names_one_value(value) or (is_reference(value) and not value.isalpha())
    if is_name or says_which(name, value) or not _OF_A_SENTENCE.isdisjoint(value.split()):
        return False
    names_it = words[-1] in _MAY_HAVE_NAMES or words[0] in _READING
    return not names_it or looks_drawn(value)


def _parameter(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask a parameter of an address. `key` and `code` say credential behind a `?` only."""
    name = unquote_plus(match[2])
    known = is_signature(name) if match[1][0] == ";" else is_credential_in_query(name, match[3])
    return match[1] + replacement(match[3]) if known else match[0]


def _short(replacement: Replacement, match: re.Match[str]) -> str:
    value = match[match.lastindex or 0]
    if PLACEHOLDER.fullmatch(value.strip("\"'")) or value in _AFTER_A_FLAG:
        return match[0]
    return match[0][: -len(value)] + in_quotes(value, replacement)


_PASSWORDS: Final = Step(
    tuple(
        needle
        for programs, _, _, *held in _SHORT_FLAGS
        for needle in ("|".join(held) or programs.replace(" ", "|")).split("|")
    ),
    _SHORT_FLAG,
    _short,
)
STEPS: tuple[Step, ...] = (
    Step(("-u ", "--user", "--proxy-user", "--auth", "--login", "curl"), _USER, _user),
    Step(("curl",), _COOKIE, quoted),
    Step(
        ("password", "requirepass", "masterauth", "auth-pass", "identified", "digest-k", "key-st"),
        _LOGIN,
        _login,
    ),
    Step(("password", "secret '"), _IN_SQL, quoted),
    Step(("--from-literal",), _LITERAL, quoted),
    Step(_STORES, _STORED, second),
    Step((" -e ", "--env", "--build-arg"), _VARIABLE, made_up),
    Step((), _ANSWER, second, ("send", "write(", "put", "type")),
    _PASSWORDS,
    _PASSWORDS._replace(signs=(MASK, "hmac-")),  # a new one behind an old one
    Step((), _WRITTEN, _written, ("<<",)),
    Step(("<<<",), _HERE, _here),
    Step((), _FLAG.pattern, _flag, "-"),
    Step((), _LONE, where(_is_alone), " \t"),
    Step((), _ENV_LINE, where(_is_set), " \t"),
    Step((), _SAID, where(_is_said), "\"'`"),
)
# Not for an address of its own, whose parameters are told apart before.
STEPS_IN_TEXT: tuple[Step, ...] = (Step(("?", "sig=", "signature="), _PARAMETER, _parameter),)
