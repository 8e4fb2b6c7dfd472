r"""What a script does with a password: it pipes it, sends it, compares it, or takes it by default.

`printf '%s' X | gpg --passphrase-fd 0`, `sock.send("PASS X\r\n")`, `getenv("PW", default="X")`.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import judge
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import Step, says_credential, second, where
from k8s_audit_otlp.event.secrets.values import PLACEHOLDER
from k8s_audit_otlp.event.secrets.written.remarks import told

_ARGUMENT: Final = r"(?:\"[^\"$`]{1,128}+\"|'[^']{1,128}+'|[^\s|<>;&$`()\"']{1,128}+)"
_SAYS: Final = (
    r"(\b(?:echo|printf|yes)[ ]{1,8}(?:-[neE]{1,3}[ ]{1,4})?"
    r"(?:[\"'](?:[^\"'%\n]{0,32}%s[^\"'%]{0,8}){1,3}[\"'][ ]{1,4})?)"
    rf"({_ARGUMENT}(?:[ ]{_ARGUMENT}){{0,5}}+)"
)
_PIPED: Final = (
    _SAYS + r"(?=[ ]{0,4}(?:;[^|\n]{0,64})?\)?[ ]{0,4}\|[ ]?(?:sudo[ ](?!-S))?"
    r"(?:\S{0,32}passwd\b|[^\n]{0,64}--password-stdin|[^\n]{0,48}\blogin\b|sudo[ ]-S"
    r"|[^\n]{0,48}create[ ]secret|base64|kubeseal|kinit|cryptsetup|gpg\b[^\n]{0,64}passphrase-fd"
    r"|openssl\b[^\n]{0,64}pass(?:in)?[ ]stdin"
    r"|su[ ]-|ssh-add\b|pass[ ]insert|secret-tool[ ]store|mysql_config_editor|systemd-ask"
    r"|ansible-vault|vault[ ]login|gh[ ]auth|chpasswd|restic|borg|rclone|keyctl|security[ ]))"
)
_STORED: Final = (
    _SAYS + r"(?=[ ]{0,4}(?:>{1,2}|\|[ ]?(?:sudo[ ])?tee(?:[ ]-a)?)[ ]{0,4}[^\s|;>]{0,128}"
    r"(?:secret|token|pass(?:w|phrase|\b)|pwd\b|[/_-]pw\b|cred|keyfile))"
)
# Of a protocol, in a text: `"PASS X\r\n"`, `b'USER bob\r\nPASS X\r\n'`.
_END: Final = r"(?:\\[rn]|[\r\n])"
_SENT: Final = (
    rf"((?:[\"']|{_END}|(?<=[\"'n\n]))(?:PASS|AUTH)[ ]:?)([A-Za-z0-9][^\s\"'`\\:]{{5,64}})"
    rf"(?={_END}{{1,2}}[\"'])"
)
# A value by default, or one that is compared: `("--password", default="X")`, `pw.equals("X")`.
_QUOTED: Final = r"(?P<value>\"[^\"\n]{4,128}\"|'[^'\n]{4,128}')"
_BY_DEFAULT: Final = (
    r"[\"'](?:--)?(?P<name>[\w.-]{2,64})[\"'][^\"'\n]{0,48}?(?:\b(?:default|fallback)(?:_value)?"
    rf"\s?[=:]\s?|\)\s?(?:\{{|do\b)\s?){_QUOTED}"
)
_OF_FLAGS: Final = (
    r"\b(?:String|Text|Password)VarP?\([^\"'\n]{1,48},\s?[\"'](?P<name>[\w.-]{2,64})[\"'],\s?"
    rf"(?:[\"']\w?[\"'],\s?)?{_QUOTED}"
)
_COMPARED: Final = (
    r"(?P<name>[\w$-]{2,64}+)\.(?:equals(?:IgnoreCase)?|eql\?|compareTo|compare)\(\s?" + _QUOTED
)
_INSTEAD: Final = (
    r"(\b(?:get|read|ask|input|prompt)_?\w{0,16}pass\w{0,16}_?(?:or|default)\w{0,16}\(\s?)"
    r"(\"[^\"\n]{4,128}\"|'[^'\n]{4,128}')"
)
# `.logon host/bob,X;` of Teradata, `connect bob/X@db` of Oracle, `exp bob/X`.
_LOGON: Final = (
    r"(?im)((?:^|\s)(?:\.?logon|conn(?:ect)?)[ ](?:[\w.-]{1,64}/(?=[\w.-]{1,64},))?"
    r"[a-z][\w$#.-]{0,63}[/,][\"']?)([^\s\"'@;,/]{4,64})(?=[\"']?(?:[@;]|[ ]as[ ]sys|[ \t]*$))"
)


def _said(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what is piped, not the answer to a question, nor what stands for it."""
    value = match[2].strip("\"' ")
    return (
        match[0] if len(value) < 4 or PLACEHOLDER.fullmatch(value) else second(replacement, match)
    )


def _sent(replacement: Replacement, match: re.Match[str]) -> str:
    return match[0] if match[2].isupper() or match[2].isdigit() else told(replacement, match)


def _is_default(name: str, value: str) -> bool:
    word = value.strip("\"'")
    return says_credential(name) and not judge(word) and PLACEHOLDER.fullmatch(word) is None


def _instead(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + in_quotes(match[2], replacement)


STEPS: Final[tuple[Step, ...]] = (
    Step(("echo ", "printf ", "yes "), _PIPED, _said, "|"),
    Step(("echo ", "printf "), _STORED, _said, (">", "tee ")),
    Step(("pass ", "auth "), _SENT, _sent, ("PASS ", "AUTH ")),
    Step((), _BY_DEFAULT, where(_is_default), ("default", "fallback", "{", " do ")),
    Step((), _OF_FLAGS, where(_is_default), ("Var(", "VarP(")),
    Step((), _COMPARED, where(_is_default), (".equals", ".eql?", ".compare")),
    Step(("pass",), _INSTEAD, _instead, ("_or", "Or", "efault")),
    Step(("logon", "nolog", "as sysdba", "sqlplus"), _LOGON, told),
)
