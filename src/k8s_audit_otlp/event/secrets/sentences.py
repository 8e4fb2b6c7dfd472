"""Passwords that a sentence tells, or a line of a file or a dialogue whose format says what it is.

`the password is X`, `username bob secret 0 X`, `334 UGFzc3dvcmQ6` and an answer. A word of a
dictionary is one there, too: what stands around it leaves nothing else that it could be.
"""

import re
from string import digits
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import CODES, names_one_value, words_of
from k8s_audit_otlp.event.secrets.prefilter_needles import CODE, HERE_DOCUMENT
from k8s_audit_otlp.event.secrets.randomness import is_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step, says_credential, second, where
from k8s_audit_otlp.event.secrets.values import PLACEHOLDER

_PASSWORDS = r"(?:p(?:(?<!htp)ass(?:word|wd|phrase|code|wort|e)|(?<!\wp)w|wd))"
_OF_ANOTHER_LANGUAGE = (
    r"(?:kennwort|contrase[ñn]a|senha|wachtwoord|has[łl]o|heslo|l[öo]senord|adgangskode)"
)
_OTHERS = ("kennwort", "contrase", "senha", "wachtwoord", "hasło", "haslo", "heslo", "senord")
_IS = "(?:is|was|to|from|est|ist|war|lautet|es|era|[éè]|är|jest)"
# With a digit in it: `password is X`, `| password | X |`.
_TOLD = (
    r"(?i)((?:%s)[\"'`]?"
    rf"(?:[ \t]{{1,8}}(?:[a-z]{{1,16}}[ \t]{{1,4}}){{0,3}}?{_IS}(?:[ \t]{{1,8}}|:[ \t])"
    r"|[ \t]{1,8}(?=[A-Za-z]{3,32}[0-9]{2})"
    r"|[ \t]{0,8}(?:<-|->|→|\||~|,|\t)[ \t]{0,8}(?=[\"'`]?[^\s\"'`|,]{8}))[\"'`]?)"
    r"((?=[^\s\"'`|,]{0,64}[0-9])(?=[^\s\"'`|,]{0,64}[A-Za-z])[^\s\"'`|,]{6,})"
)
# A word at the end of a sentence that says nothing about it: `the passphrase is magnolia.`
_ABOUT_ONE: Final = (
    r"(?!(?:[a-z-]*(?:ed|ing|able|ible|ly|en|ent|ant|ory|ary|ive|al|ous|ful|less|ic|own|set)"
    r"|required|wrong|weak|short|long|empty|blank|null|none|missing|new|old|same|safe|secure|okay"
    r"|insecure|fine|good|right|correct|incorrect|valid|invalid|stale|strong|simple|here|there"
    r"|above|below|clear|mine|yours|true|false|unclear|complex|plaintext|private|secret|enough"
    r"|sent|kept|lost|spent|broken|mandatory|unique|ready|open|late|again|together|anyway|twice)\b)"
)
_TOLD_WORD = (
    r"(?i)(%s(?:[ \t](?:for|of|to|at|pour|für|de|para)[ \t][\w.@-]{1,32}){0,2}"
    rf"[ \t]{{1,4}}{_IS}:?[ \t]{{1,4}}[\"'`]?){_ABOUT_ONE}"
    r"([a-z][a-z-]{4,31})(?=[\"'`]?[.!]?[ \t]*(?:\n|\Z))"
)
# One that is told before its name: `X is the password`, `use X as token`, `X  # api key`.
_TOLD_BEFORE = (
    r"(?<![^\s\"'`(])(?P<value>(?=[^\s\"'`|,()]{0,64}[0-9])(?=[^\s\"'`|,()]{0,64}[A-Za-z])"
    r"(?:[^\s\"'`|,():=]|[:=](?!\s)){6,128}+)"
    r"[\"'`]?(?:[ \t]{1,4}(?:is|was|as)|[ \t]{0,4}(?:[=:(#]|//|--|<-))[ \t]{0,4}"
    r"(?:(?:the|an?|my|your|our|this|new|old|admin|root|user|db|temporary|default)[ \t]){0,3}"
    r"(?P<name>[A-Za-z_-]{3,32}(?: key)?)"
    r"(?=[)\"'.,;!]|\s{0,8}\Z|\n|[ \t]+(?:for|of|to|on|at|in|and)\s)"
)
# In quotes, before what it is of: `value "X" of key pw`.
_OF_A_KEY = (
    r"(?P<value>\"[^\"\n]{4,256}\"|'[^'\n]{4,256}')[ \t](?:of|for|in|under)[ \t](?:the[ \t])?"
    r"(?:key|field|variable|parameter|setting|entry|env|member|property)[ \t][\"'`]?"
    r"(?P<name>[\w.-]{2,64})"
)
# What opens a door, a safe or a phone: `alarm code 4711-0`; often several of them.
_CODE_TOLD = (
    rf"(?i)(\b(?:{'|'.join(sorted(CODES))})[ _-]?codes?"
    r"(?:[ \t]{1,4}(?:is|was|are))?[ \t:=]{1,8})"
    r"((?=(?:[^\s\d]?\d){4})[\w#*-]{4,32}(?:,[ \t]{0,4}[\w#*-]{4,32})*+)"
)
# A remark, and what follows the name is all of it: `# pw X`.
_REMARK = r"(?m)((?:^|#|//|--|;)[ \t]*(?:pw|pswd|psw|pwd)[ \t]{1,8})(?![=:])(\S{6,})(?=[ \t]*$)"

# Lines of files, each of a format of its own.
_OF_A_DEVICE = (  # of routers and switches: `username bob privilege 15 secret 0 X`
    r"(?im)(^[ \t]*(?:no[ \t])?(?:(?:username|neighbor|tacacs-server|radius-server)[ \t]"
    r"[^\n]{0,96}?[ \t](?:password|secret|key)(?:[ \t]\d{1,2})?|(?:user|enable|ntp|key|aaa"
    r"|isis|standby|vrrp|ppp|crypto|server|password|secret)\b[^\n:=]{0,64}?"
    r"(?:password|secret|key|key-string|md5)[ \t]\d{1,2})[ \t]{1,4})([^\s\"':=]{5,})(?=[ \t\r]*$)"
)
_OF_PPP = (
    r"(?m)(^[ \t]*\S{1,64}[ \t]{1,16}\*[ \t]{1,16})(\S{4,})(?=[ \t]{1,16}(?:\*|\d[\d./]*)[ \t]*$)"
)
_OF_DEBCONF = (
    r"(?m)(^[ \t]*[\w.+-]{1,64}[ \t]{1,8}\S{0,64}?(?:passw|secret|token)\S{0,64}[ \t]{1,8}"
    r"password[ \t]{1,8})(\S[^\n]*)$"
)
_OF_SNMP = (
    r"(?i)((?:(?:createUser|usmUser)(?:[ \t]{1,8}-e[ \t]{1,8}\w{1,32})?[ \t]{1,8}\S{1,64}"
    r"|v3[ \t]{1,8}auth)[ \t]{1,8}(?:MD5|SHA[\d-]{0,4})[ \t]{1,8})"
    r"(\S{5,}(?:[ \t]{1,8}(?:priv[ \t]{1,8})?"
    r"(?:DES|AES[\d-]{0,4})(?:[ \t]\d{3})?[ \t]{1,8}\S{5,})?)"
)
_OF_FTP = r"(?m)(^[ \t]*user[ \t]{1,8}\S{1,64}[ \t]{1,8})([^\s|;&]{4,})(?=[ \t]*$)"
_STORED_BY_NAME = (  # `vault kv put secret/app a=X b=X`, `heroku config:set A=X`
    r"(\b(?:vault (?:kv (?:put|patch)|write(?= (?:secret|kv|cubbyhole)/))"
    r"(?: -[\w=-]{1,32}){0,3} [\w./@-]{1,128}"
    r"|(?:secrets?(?: |:)|config:)set(?: -{1,2}[\w-]{1,32}(?:[ =][\w.-]{1,64})?){0,3}))"
    r"((?: [\"']?[A-Za-z][\w.-]{0,64}=[^\s=]\S*)+)"
)
_BY_NAME = re.compile(r"( [\"']?[A-Za-z][\w.-]{0,64}=)([^\s]+)")
_ORACLE = (  # `sqlplus -s bob/X@db`, `expdp userid=bob/X`
    r"(?i)(\b(?:sqlplus|expdp|impdp|exp|imp|sqlldr|rman target|tkprof)[ ](?:-\w{1,8} ){0,4}"
    r"(?:[a-z_]{1,32}=\S{1,64} ){0,4}?(?:userid=)?[\"']?[a-z][\w$#]{1,32}/)"
    r"([^\s/@\"']{4,64})(?=[@\s\"']|\Z)"
)
# What prompts ask for: base64 of `Password:`, and two lines that are the same, as for a new one.
_OF_SMTP = r"(334 UGFzc3dvcmQ6[^\n]*\n(?:[A-Za-z>]{1,2}:?[ \t])?)([\w+/]{4,}+={0,2})(?=\s|\Z)"
_OF_SASL = (
    r"(\b(?i:AUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5))[ \t]{1,4})"
    r"(?=[\w+/=]{8})(?=[a-z]*[A-Z0-9+/=])([\w+/]+={0,2})"
)
_ASKED_TWICE = (
    r"(<<-?[ ]?[\"']?(?P<end>\w{1,16})[\"']?[^\n]{0,128}\n)"
    r"([ \t]*([^\n]{4,256})\n[ \t]*\4)(?=\n[ \t]{0,8}(?P=end)\b)"
)


def _is_told(name: str, value: str) -> bool:
    if not names_one_value(name):
        return False
    words = words_of(name)
    return words[-1].startswith("pass") or is_drawn(value)


def _by_name(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace what a store of secrets is given, by any name; not a file, nor what is elsewhere."""

    def one(found: re.Match[str]) -> str:
        value = found[2].strip("\"'")
        kept = value[:1] in "@-$" or PLACEHOLDER.fullmatch(value)
        return found[0] if kept else second(replacement, found)

    return match[1] + _BY_NAME.sub(one, match[2])


def _asked(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + replacement(match[3])


STEPS: Final[tuple[Step, ...]] = (
    Step((), _OF_A_DEVICE, second, ("secret ", "password ", "key ", "md5 ", "key-string ")),
    Step((), _OF_PPP, second, ("*",)),
    Step((), _OF_DEBCONF, second, ("password ",)),
    Step(("createuser", "usmuser", "v3 auth"), _OF_SNMP, second),
    Step(("ftp ",), _OF_FTP, second, ("user ",)),
    Step(
        ("vault kv", "vault write", "secret set", "secrets set", ":set "),
        _STORED_BY_NAME,
        _by_name,
    ),
    Step(("sqlplus", "userid=", "expdp", "impdp", "sqlldr", "rman "), _ORACLE, second),
    Step(("334 ",), _OF_SMTP, second),
    Step(("auth",), _OF_SASL, second),
    Step((HERE_DOCUMENT,), _ASKED_TWICE, _asked),
    Step((), _TOLD % f"{_PASSWORDS}|p(?<!htp)ass", second, digits),
    Step(_OTHERS, _TOLD % _OF_ANOTHER_LANGUAGE, second, digits),
    Step(_OTHERS, _TOLD_WORD % _OF_ANOTHER_LANGUAGE, second),
    Step(
        (), _TOLD_WORD % _PASSWORDS, second, (" is", " wa", " to", " fr", " es", " l", " é", " è")
    ),
    Step((CODE,), _CODE_TOLD, second, digits),
    Step((), _TOLD_BEFORE, where(_is_told), digits),
    Step((), _OF_A_KEY, where(says_credential), "\"'"),
    Step((), _REMARK, second),
)
