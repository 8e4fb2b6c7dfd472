"""What a value looks like, where its name says credential: nothing, a placeholder, a reference.

And where one ends that has an end of its own: in quotes, a block of YAML, the line below.

A name alone would take `kubeconfig=/etc/kubernetes/admin.conf` for a secret, and `"$ref"` below a
`password` for a reference, whatever stands in it.
"""

import re
from typing import Final
from urllib.parse import unquote_plus

from k8s_audit_otlp.event.secrets.grammar import (
    KeyVerdict,
    is_credential_parameter,
    is_reference,
    judge,
    may_name_drawn,
    names_one_value,
    words_of,
)
from k8s_audit_otlp.event.secrets.randomness import (
    CERTAINLY_MADE_UP,
    PUBLIC_KEYS,
    Ahead,
    is_drawn,
    is_scattered,
    is_short_drawn,
    looks_drawn,
    looks_random,
)
from k8s_audit_otlp.event.secrets.replacement import MASK, QUOTE
from k8s_audit_otlp.event.secrets.written.phrases import is_told
from k8s_audit_otlp.event.secrets.written.references import tells_which

PLACEHOLDER: Final = re.compile(
    r"\$[({]?(?:[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*|[A-Za-z]+)[)}]?|\{\{[^\"'`]*|%[sdv]"
    r"|\*+|[\"']\*+[\"']|<[a-z][a-z _-]{1,32}>|\"\"|''"
    rf"|{MASK}(?:[&;,)\]].*)?"
    # What says where it is: of the shell, of programs, of vaults.
    r"|\$\{[A-Za-z_]\w{0,64}:?[-?+]?\}|\$\{\{ ?[\w.-]{1,128} ?\}\}"
    r"|(?:os\.(?:[Gg]etenv\(|environ\[|environ\.get\()[\"']?|process\.env\.)\w{0,64}[\"']?[)\]]?;?"
    r"|arn:aws[\w-]{0,16}(?::[\w./-]{0,128}){3,6}|ENC\[AES256_GCM,.*"
    r"|(?:\$\(|`)(?:cat |< ?)[\w./-]{1,128}[)`]"
    r"|\$\{(?:env|file|secret|vault|ssm|param|cm|secretsmanager|googlesecretmanager|yaml)[:.][\w./:#-]{1,128}\}"
    r"|(?:(?:ref\+)?vault:/{0,2}|op://)[a-z][\w-]{0,64}(?:/[\w .-]{1,64}){1,8}(?:#[\w./-]{1,64})?"
)
_SCHEME = re.compile(r"(?:Bearer|Basic|Token|token|ApiKey|Splunk) ")
NOTHING: Final = frozenset(
    """
    true false null nil none ~ <nil> required forbidden invalid yes no undefined unset enabled
    disabled optional on off string eof omit include same-origin -
    """.split()  # noqa: SIM905
)
# What says something about a credential: how it is encrypted or hashed; results of tests, and how
# many there were (`PASS: TestX (0.00s)`, `pass: 12, fail: 3`); an object called after what it has.
_ABOUT = re.compile(
    r"(?P<how>(?:scram-|hmac-)?(?:sha|SHA)-?\d{1,3}|md5|bcrypt|scrypt|argon2(?:id|i|d)?|pbkdf2"
    r"|v?\d{1,5}(?:\.\d{1,5}){2,3}(?:[-+~/][\w.+~-]{0,32})?|ecdsa|ed25519|(?:rsa|RSA)-?\d{4}|(?:aes|AES|[RHErhe]S)-?\d{3}(?:-(?:gcm|cbc|ctr))?)"
    r"|(?P<passed>\d{1,3}[,;] .*|\d{1,6}/\d{1,6}|(?:[\w.-]{1,64}/){0,8}[\w.-]{1,64}\.[jt]sx?"
    r"|Test[A-Z]\w{0,128}(?:/\S{0,128})?(?: \(\d[\d.]{0,8}s\))?)"
    r"|(?P<secret>(?!my-|super-|secret-|change|test-|dev-)(?:[a-z]{2,20}-){1,4}(?:secrets?|credentials|tokens?))"
    r"|(?P<object>(?:[a-z][a-z-]{0,62}/)?(?:[a-z]{2,20}-){1,4}"
    r"(?:tls|certs?|ca|auth|secrets?|creds|credentials|tokens?|keys?|passwords?))"
    r"|(?P<digest>sha256:[0-9a-f]{64}|(?:\d{1,6}(?:ms|[smhd])){1,3})"  # or how long it is good
)
# Where nginx passes a request on to, which is called as a password may be.
_NGINX_PASSES = frozenset(
    (server, "pass")
    for server in "proxy fastcgi uwsgi scgi grpc memcached".split()  # noqa: SIM905
)
_UPSTREAM = re.compile(r"(?:https?|grpcs?)://[^\s@]+|unix:\S+|[a-z][\w.-]*(?::\d{1,5})?;")
_FILE = re.compile(
    r"(?:[a-z]{2,32}:)?(?:file:/{1,2}|~|\.{1,2}|\$[A-Z_]{1,32})?(?:/[\w.@+-]{1,64}){2,16}/?"
    r"|[a-z]{2,32}(?:/[a-z][a-z_-]{0,63}){1,8}",
    re.ASCII,
)
_WITH_SUFFIX = re.compile(r"(?:/[a-z][\w-]{0,63}){1,16}\.[a-z]{2,5}", re.ASCII)
_LONGEST_FILE = 512  # characters
_SHORTEST_DRAWN = 10
_ONE_WORD = re.compile(r"[\w.~+/-]+={0,2}", re.ASCII)
# Of the API itself, as `/openapi/v3/api/v1?hash=`, and what places something in a list or a file.
_OPEN_PARAMETERS = frozenset(("continue", "hash", "cursor", "v", "rev", "etag", "query", "boot"))
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[$%{<][^\n]{0,253}")
_LONGEST_VERSION = 128  # characters
_VERSION = re.compile(  # or a port
    r"v?(?:\d{1,5}(?:\.\d{1,10}){0,4}(?:[-+.][\w.+-]{0,64})?|20\d{6})(?:[/@]\S*)?"
)
# A map below a name: what is drawn in it is a credential, whatever it is called there.
_MAP = re.compile(
    r"\{(?:[^{}]|\{[^{}]*+)*+"
    r"|[ \t\r]*\n(?P<of>[ \t]++)[\w.\"'-]+:[^\n]*+(?:\n(?P=of)[^\n]*+)*+"
    r"|[ \t\r]*\n([ \t]*+)- [\w.\"'-]+:[^\n]*+(?:\n\2[ -][^\n]*+)*+"
)
_SCOPE = re.compile(r"(?:read|write|list|create|delete|update|view|manage)\b(?![\w.-])")
_NEXT_LINE = re.compile(
    r"[ \t\r]*\n(?:[ \t]*\r?\n)*+([+-]?[ \t]+(?![^\s:]+:(?:\s|\Z))(?!- )|(?=[\"']))(\S[^\n]*)"
)
LAST_WORDS = frozenset(("key", "phrase", "passe", "word", "code", "answer"))
_OF_PASSWORDS = frozenset(("phrase", "passe", "word", "answer"))
_WORD_BEFORE = re.compile(r"(?<![\w.-])((?:mot de|[A-Za-z]{3,12})) \Z")
_LONGEST_WORD = 16  # characters
_DIGIT = re.compile(r"\d")
_FIRST_DIGIT, _FIRST_DRAWN = 128, 64  # characters of a value in which one is, or begins
_RESOURCE = re.compile(r"\barn:[^\s\"']{0,124}\Z")
LONGEST_LEAD: Final = 256  # characters before a name that may make it the first of its line
IN_FLOW: Final = re.compile(r"[^\s,\"'`<>{}\[\]][^\n,\"'`<>{}\[\]]*(?=,[ \t\n]|[ \t]*\})")
UNQUOTED: Final = re.compile(r"[^\s\"'`<>]+")
_NOT_IN_FILES = frozenset(
    "pass password passwd passphrase passcode pwd pw psw pin otp mnemonic cvv psk".split()  # noqa: SIM905
)


def stands_in_quotes(value: str) -> bool:
    """Say whether a value in quotes stands for it: `"${X}"`, `'Bearer ${env:X}'`."""
    inner = _SCHEME.sub("", value.strip().strip("\"'"))
    return inner.startswith(("${", "$(", "{{", "`")) and PLACEHOLDER.fullmatch(inner) is not None


def is_credential(name: str, value: str) -> bool:
    """Say whether a value is a credential: by its name, or by its name and how it looks."""
    if judge(name) is not KeyVerdict.HARMLESS:
        return True
    return may_name_drawn(name) and is_told(name, value)


def is_credential_in_query(name: str, value: str) -> bool:
    """Say the same of a parameter of an address; a random value is one by any name."""
    if is_credential_parameter(name):
        return True
    if may_name_drawn(name) and is_drawn(unquote_plus(value)):
        return True
    if (
        CERTAINLY_MADE_UP.fullmatch(value)
        or (name == "p" and looks_drawn(value))
        or (len(name) == 1 and name not in _OPEN_PARAMETERS and is_short_drawn(value))
    ) and not is_reference(name):
        return True
    if len(value) < _SHORTEST_DRAWN or name in _OPEN_PARAMETERS or not looks_random(value):
        return False
    plain = unquote_plus(value)
    one_word = _ONE_WORD.fullmatch(plain) is not None
    return one_word and is_scattered(plain) and not is_reference(name)


def names_an_object(text: str) -> bool:
    """Say whether it is the name of an object, or a template that makes one."""
    return _OBJECT.fullmatch(text) is not None and not looks_random(text)


def says_which(name: str, value: str) -> bool:
    """Say whether a value tells where, how or which a credential is, and is none itself."""
    words = words_of(name)
    if tells_which(name, value):
        return True
    if words[-1:] == ("key",) and not _NOT_IN_FILES.isdisjoint(
        words[-2:-1]
    ):  # of which one of a Secret it is
        return names_an_object(value) and not looks_drawn(value)
    if words[-2:] in _NGINX_PASSES and _UPSTREAM.fullmatch(value):
        return True
    value = value.rstrip(";")
    if (about := _ABOUT.fullmatch(value)) is None:
        return names_a_file(name, value)
    if about.lastgroup == "object":  # `adminPasswordKey` is the key in a Secret
        return words[-1:] == ("secret",) or (
            words[-1:] == ("key",) and names_one_value("".join(words[-2:-1]))
        )
    if about.lastgroup == "secret":
        return _NOT_IN_FILES.isdisjoint(words)
    return about.lastgroup in ("how", "digest") or words[-1:] == ("pass",)


def names_a_file(name: str, value: str) -> bool:
    """Say whether a value is the path of a file that holds a credential; a password has none."""
    if "/" not in value or len(value) > _LONGEST_FILE:
        return False
    if not (_NOT_IN_FILES.isdisjoint(words_of(name)) or _WITH_SUFFIX.fullmatch(value)):
        return False
    return _FILE.fullmatch(value) is not None and not looks_random(value)


def in_resource(text: str, at: int) -> bool:
    """Say whether a place is in the name of a resource of a cloud: `arn:aws:...`."""
    first = max(0, at - _LONGEST_VERSION)
    return text.find("arn:", first, at) >= 0 and _RESOURCE.search(text, first, at) is not None


def lacks(text: str, at: int, verdict: KeyVerdict, drawn: Ahead) -> bool:
    """Tell a value without a digit, as no credential under a name such as `auth` is."""
    if verdict is KeyVerdict.HARMLESS:
        return text.startswith(PUBLIC_KEYS, at) or drawn(at) >= min(at + _FIRST_DRAWN, len(text))
    return QUOTE.match(text, at) is None and _DIGIT.search(text, at, at + _FIRST_DIGIT) is None


def names_a_place(text: str, match: re.Match[str]) -> bool:
    """Tell `ghcr.io/external-secrets:v1` and `token-service:8080` from a name and its value."""
    if text.endswith(("checksum/", "--from-file="), 0, match.start()):
        return True
    if match["name"] == "secrets" and text.endswith("${", 0, match.start()):
        return True
    tight = match[0].endswith(":") and not match["close"]
    if not tight or text[match.end() : match.end() + 1] in ("", "\n", '"', "'", "\\"):
        return False
    before = text[match.start() - 1 : match.start()]
    if _SCOPE.match(text, match.end()) or (before == ":" and in_resource(text, match.start())):
        return True
    if before in ("/", "@"):
        flag = text[max(0, match.start() - 2) : match.start() - 1]
        return before == "@" or not flag.isspace()  # `/password:X` as Windows has flags
    if before == "[":
        return False
    end = match.end() + _LONGEST_VERSION
    value = UNQUOTED.match(text, match.end(), end)
    return (
        value is not None
        and value.end() < end
        and _VERSION.fullmatch(value[0].rstrip("/,;.)")) is not None
    )


def judge_two_words(text: str, match: re.Match[str]) -> KeyVerdict:
    """Judge `access key: X` and `mot de passe: X`, whose last word alone says less."""
    name = match["name"].lower()
    if name not in LAST_WORDS:
        return KeyVerdict.HARMLESS
    before = _WORD_BEFORE.search(text, max(0, match.start() - _LONGEST_WORD), match.start())
    if before is None or judge(before[1] + name) is not KeyVerdict.CREDENTIAL:
        return KeyVerdict.HARMLESS
    is_password = name in _OF_PASSWORDS or before[1].lower() == "api"
    return KeyVerdict.CREDENTIAL if is_password else KeyVerdict.CREDENTIAL_TEXT


def judge_members(name: str, verdict: KeyVerdict) -> KeyVerdict:
    """Judge what is in a map by its name: all of `passwords`, else what is drawn."""
    if verdict is not KeyVerdict.CREDENTIAL:
        return KeyVerdict.HARMLESS
    of_words = words_of(name)[-1:] in (("passwords",), ("tokens",))
    return verdict if of_words else KeyVerdict.CREDENTIAL_TEXT


def end_of_quoted(text: str, start: int, mark: str) -> int:
    """Return where a quoted value ends, with the quotes *mark* that it begins with."""
    at = start + len(mark)
    while (end := text.find(mark, at)) >= 0:
        if mark == "'" and text[end + 1 : end + 2] == "'":
            at = end + 2  # as YAML and SQL write it
            continue
        if len(mark) > 1 or mark == "`" or not _is_escaped(text, end):
            inner = len(mark) > 1 and text[end - 1 : end] == "\\"
            if not inner:
                return end + len(mark)
        at = end + 1
    return len(text)


def _is_escaped(text: str, at: int) -> bool:
    count = 0
    while count < 64 and text[at - count - 1 : at - count] == "\\":
        count += 1
    return count % 2 == 1


def end_of_block(text: str, start: int, indent: int) -> int:
    """Return the end of a YAML block scalar: lines that are blank or indented as its first one."""
    at = text.find("\n", start)
    while at >= 0:
        line = text[at + 1 : at + 1 + indent]
        if line.strip(" \t") and not line.startswith("\n"):
            return at
        at = text.find("\n", at + 1)
    return len(text)


def map_below(text: str, match: re.Match[str], start: int) -> re.Match[str] | None:
    """Return the map that stands below a name, indented more than its line."""
    under = _MAP.match(text, start)
    if under is None or under["of"] is None:
        return under
    lead = max(0, match.start() - LONGEST_LEAD)
    line = text[max(lead, text.rfind("\n", lead, match.start()) + 1) : match.start()]
    return under if len(under["of"]) > len(line) - len(line.lstrip()) else None


def next_line(text: str, at: int, start: int) -> tuple[int, int]:
    """Return where a value is that stands on the line below; an empty range at *start* for none."""
    below = _NEXT_LINE.match(text, at)
    if below is None:
        return start, start
    quote = QUOTE.match(below[2])
    end = end_of_quoted(text, below.start(2), quote[0]) if quote else below.end(2)
    return below.start(2), end


def in_flow(text: str, at: int) -> bool:
    """Tell the members of a map of YAML in braces: `{user: admin, password: X, host: db}`."""
    first = max(0, at - LONGEST_LEAD, text.rfind("\n", max(0, at - LONGEST_LEAD), at))
    return text.rfind("{", first, at) > text.rfind("}", first, at)
