"""Objects written as text: a Secret's data, names with values, patches, XML, what Go prints."""

import re
from functools import partial
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_environment,
    is_reference,
    judge,
    may_name_drawn,
    names_many,
)
from k8s_audit_otlp.event.secrets.prefilter_needles import ENVIRONMENT
from k8s_audit_otlp.event.secrets.randomness import looks_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import (
    Step,
    quoted,
    says_credential,
    second,
    where,
)
from k8s_audit_otlp.event.secrets.values import is_credential
from k8s_audit_otlp.event.secrets.written import markup

_QUOTED_BODY = r"(?s)(\.\.\.\|)(.*?)(?=\|\.\.\.|\Z)"  # a decoder's error
_ANY = (
    r"(?P<value>\{[^{}\n]*\}?|strings\.Join\(\{[^{}]*\}?|\\*\"(?:[^\"\\]|\\(?!\"))*+\\*\"?"
    r"|'(?:[^']|'')*+'?|[^\s,}\]\"'][^\n,}\]\"']*)"
)
_NAMED_VALUE = (
    r"(?i)(\bname[\"'\\]{0,8}\s{0,8}[:=]\s{0,8}[\"'\\]{0,8}[^\"'\\\s,{}]{0,256}[\"'\\]{0,8}"
    r"(?:\s{0,8}(?:[,\n]|\\{1,8}n)\s{0,64}|[ ](?=(?-i:Value:)))"
    r"[\"'\\]{0,8}value[\"'\\]{0,8}\s{0,8}[:=]\s{0,8})" + _ANY
)
# A line of a diff as cmp prints it, whose name is on another one.
_CHANGED_VALUE = (
    r"(?m)((?:^|\\n)[ \t\u00a0]*[-+][ \t\u00a0]{1,64}Value:[ \t\u00a0]{1,64})"
    r"(\\*\"(?:[^\"\\\n]|\\(?!\"))*+\\*\"?|strings\.Join\(\{[^{}]*\}?)"
)
# An argument or a flag's value that was changed.
_CHANGED_ARGUMENT = (
    r"(?m)(^[ \t\u00a0]*[-+][ \t\u00a0]{1,64})(\"(?:[^\"\\\n]|\\.)*+\")(?=,[ \t\u00a0]*$)"
)
# The command of a container as Go prints it; the program stays, as it does in a body.
_COMMAND = (
    r"(\b(?:Command: ?\[\](?:string)?\{\\*\"[^\"\\\n]*\\*\"|Args: ?\[\](?:string)?\{))([^{}]*+)"
)
_ARGUMENT = re.compile(r"()(\\*\"[^\"\\]*\\*\")")
# A variable of HCL: variable "db_password" { default = "..." }
_BLOCK_NAMED = (
    r"[\"'](?P<name>[\w.-]{1,64})[\"'](?:\s{0,8}[\"'][\w.-]{1,64}[\"'])?\s{0,8}\{[^{}]{0,256}?\b(?:default|value|result)\s{0,8}=\s{0,8}"
    r"(?P<value>\"(?:[^\"\\]|\\.)*+\"?)"
)
# The same with other members between them: `required: true`.
_NAMED_FAR_VALUE = (
    r"\b(?:name|key|header|type|format)[\"'\\]{0,8}\s{0,8}:\s{0,8}[\"'\\]{0,8}"
    r"(?P<name>[^\"'\\\s,{}]{1,256})[\"'\\]{0,8}"
    r"(?:[ \t]{0,8}[,\n]\s{0,64}+(?!-|[\"']?value)[^\n,{}]{1,128}+){0,3}[,\n]\s{0,64}"
    r"[\"'\\]{0,8}value[\"'\\]{0,8}\s{0,8}:\s{0,8}" + _ANY
)
_VALUE_NAMED = (
    r"(?i)\bvalue[\"'\\]{0,8}\s{0,8}[:=]\s{0,8}(?P<value>[\"']?[^\"'\\\s,{}]{1,512}+[\"']?)"
    r"\s{0,8}[,\n]\s{0,64}[\"'\\]{0,8}name[\"'\\]{0,8}\s{0,8}[:=]\s{0,8}[\"'\\]{0,8}"
    r"(?P<name>[^\"'\\\s,{}]{1,256})"
)
_GO_DATA = r"(\b(?:[dD]ata|[sS]tringData|binaryData): ?map\[(?:[^{}\n]{1,40}\{)?)([^{}\]]*+)"
# A section of an INI file or TOML whose name says credential: `[tokens]`, then `bob = ...`.
_SECTION = r"(?m)^[ \t]*\[{1,2}(?P<name>[\w. -]{1,64})\]{1,2}[ \t\r]*((?:\n(?![ \t]*\[)[^\n]*)++)"
_SHORTEST_SETTING = 6  # characters
_SETTING = re.compile(r"(\n[ \t]*[\w.-]{1,64}[ \t]{0,64}[=:][ \t]{0,64})([^\n]+)")
# Columns of a table, its first line has their names: `user,password`.
_TABLE = (
    r"(?m)^([ \t|]{0,16}[\w\"'-]{1,64}[ \t]{0,32}?(?P<sign>[,;|\t]|[ ]{2})[ \t]{0,32}[\w\"'-]{1,64}"
    r"(?:[ \t]{0,32}?(?P=sign)[ \t]{0,32}[\w\"'-]{1,64}){0,14}[ |]{0,64}\r?\n)"
    r"([ \t]*[+|:=-][+|:= -]*+\n)?((?:(?=[^\n]*(?P=sign))[^\n]+(?:\n|\Z))++)"
)
# Rows of SQL: columns by name, then their values.
_INSERT = (
    r"(?i)(\binsert\s{1,8}into\s{1,8}\S{1,128}?\s{0,8}\(([^()]{1,512})\)\s{0,8}values\s{0,8})"
    r"((?:\((?:[^()'\"]|'[^'\n]{0,256}'|\"[^\"\n]{0,256}\"|\([^()]{0,64}\)){1,256}+\)\s{0,8},?\s{0,8}){1,64}+)"
)
_SQL_VALUE = re.compile(r"((?:\A|,|\()\s*(?:[NnEe](?='))?)('[^'\n]*'|\"[^\"\n]*\"|[^,()'\"]+)")
_SQL_ROW = re.compile(r"\((?:[^()'\"]|'[^'\n]*'|\"[^\"\n]*\"|\([^()]*\))+\)")
_NO_CELL = re.compile(r"\s*(?:\d{0,3}|:?-+:?)\s*")  # so many; the line below the names
_OPERATION = (
    r"\bpath[\"'\\]{0,8}\s{0,8}:\s{0,8}[\"'\\]{0,8}(?P<name>/[^\"'\\\s,{}]{0,256})[\"'\\]{0,8}"
    r"\s{0,8}[,\n]\s{0,64}(?:[^\n,{}]{1,64}[,\n]\s{0,64})?"
    r"[\"'\\]{0,8}value[\"'\\]{0,8}\s{0,8}:\s{0,8}" + _ANY
)
# The same in YAML, with a value of several lines.
_OPERATION_LINES = (
    r"\bpath:[ \t]{1,8}[\"']?(?P<name>/[^\"'\\\s,{}]{0,256})[\"']?[ \t]*\n"
    r"(?P<of>[ \t]*)value:[ \t]*(?P<value>(?:\n(?P=of)(?:[ \t]|- )[^\n]*)++)"
)
_DATA_OBJECT = r"(\b(?:data|stringData|binaryData)\\*\"?\s{0,8}:\s{0,8}\{)([^{}]*+)"
_OBJECT_TEXT = re.compile(
    r"(:\s{0,8}\\*\")((?:[^\"\\]|\\(?!\"))*+)(?=\\*\"|\Z)|(:\s{1,8})([^\s\"'\\,{}\[\]][^,{}]*)"
)
# On a line of its own; behind words only where the text says that it is of a Secret.
_DATA_BLOCK = (
    r"(?m)((?P<of>^[ \t]*|\b)(?:data|stringData|binaryData):[ \t]*\n)"
    r"((?:(?P=of)[ \t]+[^\n]*(?:\n|\Z)|[ \t]*\n)+)"
)
_NEAR = 512  # characters around it in which it is said
_DATA_LINE = re.compile(
    r"^([ \t]*[^\s:#][^:\n]*:[ \t]+)(?![|>][+-]?\d?[ \t]*$)(\S[^\n]*)$", re.MULTILINE
)
# Variables of an environment in YAML, one a line; what names each is a list of objects.
_ENVIRONMENT = (
    r"(?m)^([ \t]*)(?:- )?(?P<name>(?=[\w-]{0,61}(?i:env))[\w-]{3,64}):[ \t]*\r?\n"
    r"((?:\1[ \t-][^\n]*(?:\n|\Z))++)"
)
VARIABLES: Final = re.compile(
    r"^([ \t]*(?:- )?(?!name:)[A-Za-z_][\w.-]{0,253}(?:=|:[ \t]+)[\"']?)([^\s\"'][^\n]*)$",
    re.MULTILINE,
)
_NAMED_VARIABLE = re.compile(r"\b(?:name|valueFrom|from): ")
_DATA_REST = re.compile(r"^([ \t]+)(?![^\s:#][^:\n]*:(?:[ \t]|$))(\S[^\n]*)$", re.MULTILINE)
_USER_OF_JAAS = r"(\buser_[\w.@-]{1,64}\s{0,8}=\s{0,8})(\\*\"[^\"\\]*\\*\"?)"


def _command(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + _ARGUMENT.sub(partial(quoted, replacement), match[2])


def _leads_to_credential(path: str, _value: str) -> bool:
    """Tell a JSON Pointer that leads to a Secret's data, into an environment or to a credential."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    return any(
        step in ("data", "stringData", "binaryData", "env") or judge(step) is KeyVerdict.CREDENTIAL
        for step in steps
    )


def _object(replacement: Replacement, match: re.Match[str]) -> str:
    def text(found: re.Match[str]) -> str:
        head, value = (found[1], found[2]) if found[1] else (found[3], found[4])
        return head + replacement(value)

    return match[1] + _OBJECT_TEXT.sub(text, match[2])


def _block(replacement: Replacement, match: re.Match[str]) -> str:
    start, text = match.start(), match.string
    if match[3].lstrip().startswith("- "):
        return match[0]  # a list, as no Secret has
    is_behind = start and text[start - 1] != "\n" and match[1][0] != "s"
    if is_behind and "Secret" not in text[max(0, start - _NEAR) : match.end() + _NEAR]:
        return match[0]
    replaced = partial(second, replacement)
    return match[1] + _DATA_REST.sub(replaced, _DATA_LINE.sub(replaced, match[3]))


def _environment(replacement: Replacement, match: re.Match[str]) -> str:
    lines = match[3]
    if not is_environment(match["name"]) or _NAMED_VARIABLE.search(lines):
        return match[0]
    return match[0].removesuffix(lines) + VARIABLES.sub(partial(second, replacement), lines)


def _section(replacement: Replacement, match: re.Match[str]) -> str:
    name, settings = match["name"], match[2]
    if not says_credential(name) and not may_name_drawn(name):
        return match[0]

    def setting(found: re.Match[str]) -> str:
        value = found[2].strip()
        is_one = looks_drawn(value) or (
            names_many(name) and not is_reference(found[1]) and len(value) >= _SHORTEST_SETTING
        )
        return found[1] + in_quotes(value, replacement) if is_one else found[0]

    return match[0].removesuffix(settings) + _SETTING.sub(setting, settings)


def _table(replacement: Replacement, match: re.Match[str]) -> str:
    sign = match["sign"]
    between = re.compile(r"([ \t]*\t[ \t]*| {2,})" if sign.isspace() else f"({re.escape(sign)})")
    names = [name.strip(" \"'\r\n") for name in between.split(match[1])[::2]]
    columns = [2 * n for n, name in enumerate(names) if judge(name) is KeyVerdict.CREDENTIAL]
    if not columns:
        return match[0]
    rows = [between.split(row, len(names) - 1) for row in match[4].split("\n")]
    for row in rows:
        for column in columns:
            if column < len(row) and not _NO_CELL.fullmatch(row[column]):
                value = row[column].strip()
                row[column] = row[column].replace(value, in_quotes(value, replacement))
    return match[1] + (match[3] or "") + "\n".join(map("".join, rows))


def _insert(replacement: Replacement, match: re.Match[str]) -> str:
    names = [name.strip(" `\"'[]\n\t") for name in match[2].split(",")]

    def row(found: re.Match[str]) -> str:
        columns = iter(names)

        def value(cell: re.Match[str]) -> str:
            is_one = judge(next(columns, "")) is KeyVerdict.CREDENTIAL and cell[2][0] in "'\""
            return quoted(replacement, cell) if is_one else cell[0]

        return _SQL_VALUE.sub(value, found[0])

    return match[1] + _SQL_ROW.sub(row, match[3])


STEPS: tuple[Step, ...] = (
    Step(('"data', "stringdata", "binarydata", "data:"), _DATA_OBJECT, _object),
    Step(("data:",), _DATA_BLOCK, _block),
    Step((ENVIRONMENT,), _ENVIRONMENT, _environment),
    Step(("loginmodule",), _USER_OF_JAAS, quoted),
    Step(("data:",), _GO_DATA, second),
    Step((), _SECTION, _section, "["),
    Step((), _TABLE, _table, (",", ";", "|", "\t", "  ")),
    Step(("insert into",), _INSERT, _insert),
    Step((), _BLOCK_NAMED, where(is_credential), "{"),
    Step(("value",), _OPERATION_LINES, where(_leads_to_credential)),
    Step(("value",), _OPERATION, where(_leads_to_credential)),
    Step(("value",), _NAMED_VALUE, quoted),
    Step(("value",), _CHANGED_VALUE, quoted),
    Step(("command:", "args:"), _COMMAND, _command),
    Step((), _CHANGED_ARGUMENT, quoted, "\u00a0\t"),
    Step((), _NAMED_FAR_VALUE, where(is_credential), ":"),
    Step(("value",), _VALUE_NAMED, where(is_credential)),
    Step(("...|",), _QUOTED_BODY, second),
    *markup.STEPS,
)
